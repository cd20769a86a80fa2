//! The exported files, read from the cache as tables, figures and reports.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use cpipe_engine::EngineError;

use super::figure::Figure;
use super::made;
use super::products::{Product, ProductFile};
use super::table::{Table, ending, stem};
use crate::error::{CliError, Kind};
use crate::session::Session;

/// The exported files, to be read from the cache.
pub(super) struct Files<'f> {
    pub(super) session: &'f Session,
    pub(super) products: &'f [Product],
}

impl Files<'_> {
    /// Every exported file with the label of its node.
    fn all(&self) -> impl Iterator<Item = (&str, &ProductFile)> {
        self.products.iter().flat_map(|product| {
            product
                .files
                .iter()
                .map(|file| (product.node.as_str(), file))
        })
    }

    fn bytes(&self, node: &str, file: &ProductFile) -> Result<Vec<u8>, CliError> {
        let path = self.blob(node, file)?;
        Ok(std::fs::read(&path).map_err(|e| EngineError::io("read", &path, e))?)
    }

    fn blob(&self, node: &str, file: &ProductFile) -> Result<PathBuf, CliError> {
        let blobs = &self.session.cache.blobs;
        blobs.verified(file.digest).map_err(|error| {
            let message = format!("the report cannot show {}: {error}", file.path);
            let run = made::command(self.session, "run", &[]);
            let hint = format!("`{run} --force '{node}'` makes it again");
            CliError::new(Kind::Cache, &message, Some(&hint))
        })
    }

    /// The first file of this name that can be read as what it is called.
    pub(super) fn named<T>(
        &self,
        name: &str,
        read: impl Fn(&Path) -> Option<T>,
    ) -> Result<Option<T>, CliError> {
        for (node, file) in self.all() {
            if file.path.rsplit('/').next() == Some(name)
                && let Some(found) = read(&self.blob(node, file)?)
            {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    pub(super) fn tables(&self, asked: Option<&[String]>) -> Result<Vec<Table>, CliError> {
        let mut tables = Vec::new();
        for (node, file) in self.chosen(asked, "table", &["csv"])? {
            let table =
                Table::read(&file.path, node, self.bytes(node, file)?).map_err(|error| {
                    let message = format!("the report cannot show {}: {error}", file.path);
                    let hint = "leave it out under `report: { tables: […] }`";
                    CliError::new(Kind::Spec, &message, Some(hint))
                })?;
            tables.push(table);
        }
        Ok(tables)
    }

    pub(super) fn figures(&self, asked: Option<&[String]>) -> Result<Vec<Figure>, CliError> {
        let mut chosen = self.chosen(asked, "figure", &["svg", "png"])?;
        if asked.is_none() {
            // A figure in both formats is shown once, as the drawing.
            let drawn: BTreeSet<String> = chosen
                .iter()
                .filter_map(|(_, file)| file.path.strip_suffix(".svg").map(str::to_owned))
                .collect();
            chosen.retain(|(_, file)| {
                file.path
                    .strip_suffix(".png")
                    .is_none_or(|path| !drawn.contains(path))
            });
        }
        let mut figures = Vec::new();
        for (at, (node, file)) in chosen.into_iter().enumerate() {
            let id = format!("f{}", at + 1);
            let mut figure = Figure::read(&file.path, node, &id, &self.bytes(node, file)?);
            figure.others = self.others(&file.path);
            figures.push(figure);
        }
        Ok(figures)
    }

    /// The same figure in other formats.
    fn others(&self, path: &str) -> Vec<String> {
        let folder = path.rsplit_once('/').map(|(folder, _)| folder);
        self.all()
            .map(|(_, file)| &file.path)
            .filter(|other| stem(other) == stem(path) && other.as_str() != path)
            .filter(|other| other.rsplit_once('/').map(|(folder, _)| folder) == folder)
            .cloned()
            .collect()
    }

    /// The files that are asked for, in that order, or all with one of these endings.
    fn chosen(
        &self,
        asked: Option<&[String]>,
        what: &str,
        endings: &[&str],
    ) -> Result<Vec<(&str, &ProductFile)>, CliError> {
        let fits = |path: &str| endings.contains(&ending(path));
        let Some(asked) = asked else {
            return Ok(self.all().filter(|(_, file)| fits(&file.path)).collect());
        };
        let refuse = |message: String| {
            let hint = format!(
                "a {what} of the report is an exported .{}",
                endings.join(" or .")
            );
            CliError::new(Kind::Spec, &message, Some(&hint))
        };
        let mut chosen = Vec::new();
        for path in asked {
            if !fits(path) {
                return Err(refuse(format!("`{path}` cannot be shown as a {what}")));
            }
            let found = self.all().find(|(_, file)| &file.path == path);
            chosen.push(found.ok_or_else(|| refuse(format!("no stage made `{path}`")))?);
        }
        Ok(chosen)
    }
}
