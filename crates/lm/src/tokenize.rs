//! The `tokenize` stage: chunks and a tokenizer in, token ids out.

use cpipe_data::chunks::ChunkSet;
use cpipe_data::tokens::{Mapping, NoEndOfText, TokenSet};
use cpipe_engine::stage::{OutputSpec, Role, Roles};
use cpipe_engine::{Inputs, OutputDir, Report, Stage, StageContext, StageError, StageId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{ChunkTokenizer, LmError};

/// Parameters of `tokenize`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenizeParams {
    /// How bytes become text.
    #[serde(default = "default_mapping")]
    pub mapping: Mapping,
    /// The token that some protocols put in front; a tokenizer may lack it.
    #[serde(default = "default_end_of_text")]
    pub end_of_text: String,
}

fn default_mapping() -> Mapping {
    Mapping::Mask7
}

fn default_end_of_text() -> String {
    "<|endoftext|>".into()
}

impl Default for TokenizeParams {
    fn default() -> Self {
        Self {
            mapping: default_mapping(),
            end_of_text: default_end_of_text(),
        }
    }
}

/// Tokenizes chunks.
pub struct Tokenize(TokenizeParams);

impl Tokenize {
    /// Checks the parameters.
    ///
    /// # Errors
    /// The parameter and what is wrong with it.
    pub fn new(params: TokenizeParams) -> Result<Self, (String, String)> {
        if params.end_of_text.is_empty() {
            return Err(("end_of_text".into(), "a token's text is not empty".into()));
        }
        Ok(Self(params))
    }

    fn tokenize(
        &self,
        inputs: &Inputs,
        context: &StageContext<'_>,
    ) -> Result<TokenSet, StageError> {
        let files = inputs.one("tokenizer")?.dir("files")?;
        let path = files
            .get("tokenizer.json")
            .ok_or_else(|| LmError::MissingFile {
                file: "tokenizer.json",
                role: "tokenizer".into(),
                found: files.keys().cloned().collect::<Vec<_>>().join(", "),
            })?;
        let tokenizer = ChunkTokenizer::read(path, self.0.mapping)?;
        let node = inputs.one("chunks")?;
        let chunks = ChunkSet::open(node.file("chunks.bin")?, node.file("chunks.json")?)
            .map_err(LmError::from)?;
        let end_of_text = tokenizer.id(&self.0.end_of_text);
        let mut set = TokenSet::new(self.0.mapping, tokenizer.vocabulary(), end_of_text);
        if end_of_text.is_none() {
            set = set.without_end_of_text(NoEndOfText {
                named: self.0.end_of_text.clone(),
                special: tokenizer.special(),
            });
        }
        let total = chunks.iter().len() as u64;
        for (index, raw) in chunks.iter().enumerate() {
            context.check_cancelled()?;
            let tokens = tokenizer.encode(index, raw)?;
            set.push(raw, &tokens.ids, &tokens.covered, tokens.plane_bytes);
            (context.progress)(index as u64 + 1, total, "chunks");
        }
        Ok(set)
    }
}

impl Stage for Tokenize {
    fn id(&self) -> StageId {
        StageId {
            name: "tokenize".into(),
            version: 3,
        }
    }

    fn params(&self) -> Value {
        serde_json::to_value(&self.0).expect("parameters are plain data")
    }

    fn roles(&self) -> Roles {
        Roles::Named(&[
            Role {
                name: "chunks",
                many: false,
            },
            Role {
                name: "tokenizer",
                many: false,
            },
        ])
    }

    fn outputs(&self) -> Vec<OutputSpec> {
        vec![OutputSpec::file("tokens.bin")]
    }

    fn run(
        &self,
        inputs: &Inputs,
        outputs: &OutputDir,
        context: &StageContext<'_>,
    ) -> Result<Report, StageError> {
        let set = self.tokenize(inputs, context)?;
        set.write(&outputs.path("tokens.bin"))
            .map_err(LmError::from)?;
        let tokens: u64 = set
            .header()
            .chunks
            .iter()
            .map(|c| u64::from(c.tokens))
            .sum();
        Ok(Report::new([("tokens".to_owned(), json!(tokens))]))
    }
}
