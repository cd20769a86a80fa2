use std::collections::BTreeMap;

use cpipe_data::fit_report::Convention;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::method::{Loss, Method, Space};
use crate::laws::{Law, LawParams};

/// What a bootstrap resample is drawn from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Resample {
    /// The cells of the fit.
    #[default]
    Cells,
    /// The chunks behind the cells, the same draw for all cells of a modality, since all models score
    /// the same chunks. Takes the input `chunks`.
    Chunks,
}

/// Parameters of the `fit` stage.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FitParams {
    /// Laws to fit: built-in ones or those under `forms`.
    #[serde(default = "default_laws")]
    pub laws: Vec<String>,
    /// Laws of one's own: name → formula and ranges of its parameters.
    #[serde(default)]
    pub forms: BTreeMap<String, LawParams>,
    /// What P is; a fit is made for each.
    #[serde(default = "default_conventions")]
    pub conventions: Vec<Convention>,
    /// D / S: tokens that a training step sees.
    #[serde(default)]
    pub tokens_per_step: Option<f64>,
    /// What is minimised.
    #[serde(default)]
    pub loss: Loss,
    /// In which space residuals are taken.
    #[serde(default)]
    pub space: Space,
    /// Bootstrap refits behind each interval.
    #[serde(default = "default_bootstrap")]
    pub bootstrap: usize,
    /// What the bootstrap draws from.
    #[serde(default)]
    pub resample: Resample,
    /// The step to which ratios are rounded, such as 0.001: adds refits that say what rounding alone
    /// does to the parameters.
    #[serde(default)]
    pub resolution: Option<f64>,
    /// Seed of the resampling.
    #[serde(default)]
    pub seed: u64,
    /// Other search ranges, by name of the parameter, in every law that has it.
    #[serde(default)]
    pub bounds: BTreeMap<String, (f64, f64)>,
    /// Starts along each of two searched parameters.
    #[serde(default = "default_starts")]
    pub starts: usize,
}

fn default_laws() -> Vec<String> {
    vec!["additive".to_owned()]
}

fn default_conventions() -> Vec<Convention> {
    vec![Convention::NonEmbedding]
}

fn default_bootstrap() -> usize {
    1000
}

fn default_starts() -> usize {
    8
}

/// More starts than this take long and find nothing.
const MOST_STARTS: usize = 64;

type Refusal = (String, String);

impl FitParams {
    /// The laws, checked.
    ///
    /// # Errors
    /// (parameter, what is wrong with it).
    pub(super) fn check(&self) -> Result<Vec<Law>, Refusal> {
        let refuse = |field: &str, message: &str| Err((field.to_owned(), message.to_owned()));
        if self.conventions.is_empty() {
            let message = "at least one of nominal, total, non_embedding is needed";
            return refuse("conventions", message);
        }
        if self.bootstrap == 0 {
            let message = "at least one refit is needed: a fit without intervals is not a result";
            return refuse("bootstrap", message);
        }
        if !(2..=MOST_STARTS).contains(&self.starts) {
            return refuse("starts", "expected 2 to 64 starts");
        }
        for (name, value) in [
            ("tokens_per_step", self.tokens_per_step),
            ("resolution", self.resolution),
        ] {
            if value.is_some_and(|v| !(v > 0.0 && v.is_finite())) {
                return refuse(name, "expected a number above 0");
            }
        }
        if matches!(self.loss, Loss::Huber(delta) if !(delta > 0.0 && delta.is_finite())) {
            return refuse("loss.huber", "expected a residual above 0");
        }
        self.laws()
    }

    fn laws(&self) -> Result<Vec<Law>, Refusal> {
        if self.laws.is_empty() {
            return Err(("laws".to_owned(), "at least one law is needed".to_owned()));
        }
        for form in self.forms.keys() {
            Law::find(form, &self.forms).map_err(|message| (format!("forms.{form}"), message))?;
        }
        let mut laws: Vec<Law> = Vec::new();
        for (place, name) in self.laws.iter().enumerate() {
            let refuse = |message: String| (format!("laws.{place}"), message);
            let law = Law::find(name, &self.forms).map_err(refuse)?;
            if laws.iter().any(|other| other.name == *name) {
                return Err(refuse(format!("`{name}` stands here twice")));
            }
            if law.needs_tokens() && self.tokens_per_step.is_none() {
                let message = format!("`{name}` is of the tokens D: give `tokens_per_step`");
                return Err(refuse(message));
            }
            laws.push(law);
        }
        self.restrict(&mut laws)?;
        Ok(laws)
    }

    fn restrict(&self, laws: &mut [Law]) -> Result<(), Refusal> {
        for (name, range) in &self.bounds {
            let refuse = |message: String| Err((format!("bounds.{name}"), message));
            let (least, greatest) = *range;
            if !(least < greatest && least.is_finite() && greatest.is_finite()) {
                return refuse("expected [least, greatest] with least < greatest".to_owned());
            }
            let has = |law: &Law| law.parameters.iter().any(|p| p.name == *name);
            if !laws.iter().any(has) {
                return refuse(format!("no law here has a parameter `{name}`"));
            }
            for law in &mut *laws {
                law.restrict(name, *range);
            }
        }
        Ok(())
    }

    pub(super) fn method(&self) -> Method {
        Method {
            loss: self.loss,
            space: self.space,
            starts: self.starts,
            tolerance: 1e-12,
        }
    }

    /// Quicker, for refits from the optimum on.
    pub(super) fn refit_method(&self) -> Method {
        Method {
            starts: 4,
            tolerance: 1e-8,
            ..self.method()
        }
    }
}
