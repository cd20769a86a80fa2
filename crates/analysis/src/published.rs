//! The `table` stage: cells from a CSV file, in place of those that scoring would make.
//!
//! What a paper prints becomes the same `cells.parquet`, so that fits, figures and claims run on it
//! unchanged, without a model, its data or a network.

use std::collections::{BTreeMap, BTreeSet};

use cpipe_data::observations::{COLUMNS, Observation};
use cpipe_engine::InputFiles;
use cpipe_engine::stage::{
    Inputs, OutputDir, OutputSpec, Report, Roles, SourceFile, Stage, StageContext, StageError,
    StageId,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::cells_report;
use crate::csv_file::{CsvFile, Row};
use crate::error::AnalysisError;

/// Parameters of the `table` stage besides its source.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TableParams {
    /// Name of the source: a CSV file with a header. Its digest enters the key, not its name.
    #[serde(skip_serializing)]
    pub source: String,
    /// Column of the cells table → the file's name for it, where they differ.
    #[serde(default)]
    pub columns: BTreeMap<String, String>,
    /// Column of the cells table → its value in every row.
    #[serde(default)]
    pub constants: BTreeMap<String, Value>,
}

/// Reads cells from a CSV file.
///
/// Outputs `cells.{parquet,csv,md,tex}`. A column that the file does not have is unknown: empty
/// in the table, never 0.
#[derive(Clone, Debug)]
pub struct Table {
    params: TableParams,
    source: SourceFile,
}

/// Columns without which a row is no cell.
const REQUIRED: [&str; 5] = ["model", "step", "modality", "protocol", "cr_mean"];

impl Table {
    /// Checks the parameters.
    ///
    /// # Errors
    /// (parameter, what is wrong with it).
    pub fn new(params: TableParams, source: SourceFile) -> Result<Self, (String, String)> {
        let given = params.columns.keys().map(|name| ("columns", name));
        let given = given.chain(params.constants.keys().map(|name| ("constants", name)));
        for (field, name) in given {
            if !COLUMNS.contains(&name.as_str()) {
                let all = COLUMNS.join(", ");
                let message = format!("the cells table has no column `{name}`; it has {all}");
                return Err((format!("{field}.{name}"), message));
            }
        }
        for (name, value) in &params.constants {
            let field = format!("constants.{name}");
            if params.columns.contains_key(name) {
                let message = format!("`{name}` can't be a column and a constant");
                return Err((field, message));
            }
            if !value.is_string() && !value.is_number() {
                return Err((field, "expected a text or a number".to_owned()));
            }
        }
        Ok(Self { params, source })
    }

    fn read(&self, file: &CsvFile) -> Result<Vec<Observation>, AnalysisError> {
        let reader = Reader::new(&self.params, file)?;
        let mut seen: BTreeMap<[String; 4], u64> = BTreeMap::new();
        let mut rows = Vec::new();
        for row in &file.rows {
            let cell = reader.cell(row)?;
            let step = cell.step.to_string();
            let key = [&cell.protocol, &cell.modality, &cell.model, &step].map(String::clone);
            if let Some(first) = seen.insert(key, row.line) {
                let message = format!("line {}: the same cell as line {first}", row.line);
                return Err(AnalysisError::Csv(message));
            }
            rows.push(cell);
        }
        if rows.is_empty() {
            return Err(AnalysisError::Csv("there are no rows".to_owned()));
        }
        Ok(in_order(rows))
    }
}

/// Where each column of the cells table comes from.
struct Reader<'r> {
    places: BTreeMap<&'r str, usize>,
    constants: BTreeMap<&'r str, String>,
}

impl<'r> Reader<'r> {
    fn new(params: &'r TableParams, file: &CsvFile) -> Result<Self, AnalysisError> {
        let mut places = BTreeMap::new();
        for name in COLUMNS {
            let wanted = params.columns.get(name).map_or(name, String::as_str);
            match file.place(wanted) {
                Some(place) if !params.constants.contains_key(name) => {
                    places.insert(name, place);
                }
                None if params.columns.contains_key(name) => {
                    return Err(no_column(wanted, &file.header));
                }
                _ => {}
            }
        }
        let constants = params.constants.iter();
        let constants: BTreeMap<_, _> = constants
            .map(|(name, value)| (name.as_str(), plain(value)))
            .collect();
        let known = |name: &str| places.contains_key(name) || constants.contains_key(name);
        if let Some(missing) = REQUIRED.into_iter().find(|name| !known(name)) {
            return Err(no_column(missing, &file.header));
        }
        Ok(Self { places, constants })
    }

    fn text<'a>(&'a self, row: &'a Row, name: &str) -> &'a str {
        let field = self.places.get(name).map(|place| &row.fields[*place]);
        field
            .or_else(|| self.constants.get(name))
            .map_or("", String::as_str)
    }

    /// Nothing where the field is empty or the column unknown.
    fn number(&self, row: &Row, name: &str) -> Result<Option<f64>, AnalysisError> {
        let text = self.text(row, name);
        if text.is_empty() {
            return Ok(None);
        }
        let number = text.parse().ok().filter(|value: &f64| value.is_finite());
        number.map(Some).ok_or_else(|| {
            let line = row.line;
            AnalysisError::Csv(format!("line {line}: `{name}` is `{text}`, not a number"))
        })
    }

    fn count(&self, row: &Row, name: &str) -> Result<u64, AnalysisError> {
        let value = self.number(row, name)?.unwrap_or(0.0);
        if value < 0.0 || value.fract() != 0.0 {
            let line = row.line;
            let message = format!("line {line}: `{name}` is {value}, not a whole number from 0");
            return Err(AnalysisError::Csv(message));
        }
        Ok(value as u64)
    }

    fn required(&self, row: &Row, name: &str) -> Result<String, AnalysisError> {
        match self.text(row, name) {
            "" => {
                let line = row.line;
                Err(AnalysisError::Csv(format!(
                    "line {line}: `{name}` is empty"
                )))
            }
            text => Ok(text.to_owned()),
        }
    }

    fn cell(&self, row: &Row) -> Result<Observation, AnalysisError> {
        let real = |name: &str| Ok::<_, AnalysisError>(self.number(row, name)?.unwrap_or(f64::NAN));
        self.required(row, "step")?;
        Ok(Observation {
            model: self.required(row, "model")?,
            params_nominal: self.number(row, "params_nominal")?,
            params_total: self.count(row, "params_total")?,
            params_non_embedding: self.count(row, "params_non_embedding")?,
            step: self.count(row, "step")?,
            modality: self.required(row, "modality")?,
            protocol: self.required(row, "protocol")?,
            chunks: self.count(row, "chunks")?,
            cr: self.number(row, "cr")?.unwrap_or(real("cr_mean")?),
            cr_mean: real("cr_mean")?,
            cr_std: real("cr_std")?,
            cr_sem: real("cr_sem")?,
            cr_lo: real("cr_lo")?,
            cr_hi: real("cr_hi")?,
            cr_sum_ratio: real("cr_sum_ratio")?,
            bits_per_byte: real("bits_per_byte")?,
            side_bits: real("side_bits")?,
            context_min: self.count(row, "context_min")?,
            context_mean: real("context_mean")?,
            tokens: self.count(row, "tokens")?,
            tokens_scored: self.count(row, "tokens_scored")?,
            dropped: self.count(row, "dropped")?,
            nan: self.count(row, "nan")?,
            floored: self.count(row, "floored")?,
        })
    }
}

fn no_column(name: &str, header: &[String]) -> AnalysisError {
    let there = header.join(", ");
    AnalysisError::Csv(format!(
        "there is no column `{name}`, only {there}: name it under `columns` or `constants`"
    ))
}

fn plain(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

/// Protocols, modalities as they first come; then by size, model and step.
fn in_order(mut rows: Vec<Observation>) -> Vec<Observation> {
    let firsts = |name: fn(&Observation) -> &String| {
        let mut seen = BTreeSet::new();
        let names = rows.iter().map(name).filter(|n| seen.insert((*n).clone()));
        names.cloned().collect::<Vec<_>>()
    };
    let (protocols, modalities) = (firsts(|r| &r.protocol), firsts(|r| &r.modality));
    rows.sort_by_key(|r| {
        let size = r.params_nominal.unwrap_or(0.0) as u64;
        (
            protocols.iter().position(|p| *p == r.protocol),
            modalities.iter().position(|m| *m == r.modality),
            [r.params_non_embedding, r.params_total, size],
            r.model.clone(),
            r.step,
        )
    });
    rows
}

impl Stage for Table {
    fn id(&self) -> StageId {
        StageId {
            name: "table".into(),
            version: 1,
        }
    }

    fn params(&self) -> Value {
        serde_json::to_value(&self.params).expect("parameters are plain data")
    }

    fn roles(&self) -> Roles {
        Roles::Named(&[])
    }

    fn outputs(&self) -> Vec<OutputSpec> {
        cells_report::NAMES.map(OutputSpec::file).to_vec()
    }

    fn sources(&self) -> Vec<SourceFile> {
        vec![self.source.clone()]
    }

    fn run(
        &self,
        inputs: &Inputs,
        outputs: &OutputDir,
        _context: &StageContext<'_>,
    ) -> Result<Report, StageError> {
        let files = inputs.sources.values().next();
        let Some(path) = files.and_then(InputFiles::only) else {
            let message = format!("`{}` is a folder, expected a CSV file", self.params.source);
            return Err(StageError::failed(message));
        };
        let place = |error: AnalysisError| match error {
            AnalysisError::Csv(message) => {
                StageError::failed(format!("source `{}`: {message}", self.params.source))
            }
            other => other.into(),
        };
        let file = CsvFile::read(path).map_err(place)?;
        let rows = self.read(&file).map_err(place)?;
        cells_report::write(&rows, outputs)?;
        Ok(Report::default())
    }
}

#[cfg(test)]
mod tests;
