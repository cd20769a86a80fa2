//! Whether a claim's `for` names anything at all: a typo there is a mistake, not a claim that cannot be told.

use std::collections::BTreeSet;

use super::evidence::Evidence;
use super::params::Scope;
use crate::fit::name_of;

impl Evidence {
    /// What no cell and no fit has, refused fits among them, with what there is.
    pub(super) fn mistake(&self, scope: &Scope) -> Option<String> {
        let (cells, fits, refused) = (&self.cells, &self.report.fits, &self.report.refused);
        let parts: [(&str, Option<String>, BTreeSet<String>); 6] = [
            (
                "protocol",
                scope.protocol.clone(),
                (cells.iter().map(|c| c.protocol.clone()))
                    .chain(refused.iter().map(|r| r.protocol.clone()))
                    .collect(),
            ),
            (
                "modality",
                scope.modality.clone(),
                (cells.iter().map(|c| c.modality.clone()))
                    .chain(fits.iter().map(|f| f.modality.clone()))
                    .chain(refused.iter().map(|r| r.modality.clone()))
                    .collect(),
            ),
            (
                "convention",
                scope.convention.map(|c| name_of(c).to_owned()),
                (fits.iter().map(|f| name_of(f.convention).to_owned()))
                    .chain(refused.iter().map(|r| name_of(r.convention).to_owned()))
                    .collect(),
            ),
            (
                "law",
                scope.law.clone(),
                (fits.iter().map(|f| f.law.clone()))
                    .chain(refused.iter().map(|r| r.law.clone()))
                    .collect(),
            ),
            (
                "model",
                scope.model.clone(),
                cells.iter().map(|c| c.model.clone()).collect(),
            ),
            (
                "step",
                scope.step.map(|s| s.to_string()),
                cells.iter().map(|c| c.step.to_string()).collect(),
            ),
        ];
        parts.into_iter().find_map(|(part, wanted, known)| {
            let wanted = wanted.filter(|w| !known.contains(w))?;
            let known: Vec<String> = known.into_iter().collect();
            Some(format!(
                "nothing has the {part} `{wanted}`; there is {}",
                known.join(", ")
            ))
        })
    }
}
