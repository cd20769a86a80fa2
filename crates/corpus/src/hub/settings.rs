use std::env;
use std::path::PathBuf;

use hf_hub::Cache;

use crate::http::Token;

const ENDPOINT: &str = "https://huggingface.co";

/// Where the hub is and who asks, as the environment says: the variables of `huggingface_hub`.
#[derive(Clone, Debug)]
pub(crate) struct HubSettings {
    pub(crate) endpoint: String,
    pub(crate) cache: Cache,
    pub(crate) token: Option<Token>,
    pub(crate) offline: bool,
}

impl HubSettings {
    /// Reads `HF_ENDPOINT`, `HF_HOME`, `HF_HUB_CACHE`, `HF_TOKEN`, `HF_TOKEN_PATH` and
    /// `HF_HUB_OFFLINE`, and the token that `hf auth login` saved.
    pub(crate) fn from_env() -> Self {
        let home = path("HF_HOME").unwrap_or_else(default_home);
        let beside_token = Cache::new(home.join("hub"));
        let endpoint = text("HF_ENDPOINT").unwrap_or_else(|| ENDPOINT.to_owned());
        let token = text("HF_TOKEN")
            .or_else(|| path("HF_TOKEN_PATH").and_then(|path| fs_err::read_to_string(path).ok()))
            .or_else(|| beside_token.token());
        let token = token.map(|t| t.trim().to_owned()).filter(|t| !t.is_empty());
        Self {
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            cache: path("HF_HUB_CACHE").map_or(beside_token, Cache::new),
            token: token.map(Token::new),
            offline: text("HF_HUB_OFFLINE").is_some_and(|v| is_true(&v)),
        }
    }
}

fn default_home() -> PathBuf {
    let caches = path("XDG_CACHE_HOME").or_else(|| Some(path("HOME")?.join(".cache")));
    caches.unwrap_or_else(env::temp_dir).join("huggingface")
}

fn text(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

fn path(name: &str) -> Option<PathBuf> {
    let value = env::var_os(name).filter(|value| !value.is_empty())?;
    Some(value.into())
}

fn is_true(value: &str) -> bool {
    matches!(
        value.to_ascii_lowercase().as_str(),
        "1" | "true" | "yes" | "on"
    )
}
