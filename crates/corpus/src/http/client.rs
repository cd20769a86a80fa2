use std::fmt;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use cpipe_engine::spec::without_query;
use ureq::config::RedirectAuthHeaders;
use ureq::http::{HeaderMap, Response, StatusCode, header};
use ureq::{Agent, Body};

use super::error::HttpError;
use super::proxy::Proxies;

/// How often and how long a client tries.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// Attempts in a row without a new byte before it gives up.
    pub(crate) attempts: u32,
    /// Wait before the second attempt; it doubles with every further one.
    pub(crate) first_wait: Duration,
    /// The longest wait, also if a server asks for more.
    pub(crate) longest_wait: Duration,
    /// How long a connection may take, and how long a server may stay silent.
    pub(crate) silence: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            attempts: 6,
            first_wait: Duration::from_millis(500),
            longest_wait: Duration::from_secs(300),
            silence: Duration::from_secs(60),
        }
    }
}

impl Patience {
    /// The usual patience; `CPIPE_HTTP_TIMEOUT` gives other seconds of silence.
    pub(crate) fn from_env() -> Self {
        let mut patience = Self::default();
        let seconds = std::env::var("CPIPE_HTTP_TIMEOUT");
        if let Some(seconds) = seconds.ok().and_then(|text| text.parse().ok()) {
            patience.silence = Duration::from_secs(seconds);
        }
        patience
    }
}

/// A secret that opens a host. Never shown.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Token(String);

impl Token {
    /// Wraps a secret.
    pub(crate) fn new(secret: impl Into<String>) -> Self {
        Self(secret.into())
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// An HTTP client.
#[derive(Clone)]
pub(crate) struct Client<'c> {
    agent: Agent,
    proxies: Proxies,
    patience: Patience,
    cancelled: &'c (dyn Fn() -> bool + Sync),
}

/// What a request has besides its URL.
#[derive(Clone, Copy, Default)]
pub(crate) struct Ask<'a> {
    pub(crate) token: Option<&'a Token>,
    /// First byte that is wanted.
    pub(crate) from: u64,
    /// What the file must still be for its rest to be wanted.
    pub(crate) if_range: Option<&'a str>,
}

impl<'c> Client<'c> {
    /// A client that gives up when `cancelled` says so.
    pub(crate) fn new(
        patience: Patience,
        proxies: Proxies,
        cancelled: &'c (dyn Fn() -> bool + Sync),
    ) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .redirect_auth_headers(RedirectAuthHeaders::SameHost)
            .max_redirects(10)
            .proxy(None)
            .timeout_connect(Some(patience.silence))
            .timeout_per_read(Some(patience.silence))
            .timeout_per_write(Some(patience.silence))
            .timeout_recv_response(Some(patience.silence))
            .user_agent(concat!("cpipe/", env!("CARGO_PKG_VERSION")))
            .build();
        Self {
            agent: Agent::new_with_config(config),
            proxies,
            patience,
            cancelled,
        }
    }

    /// One request, without retries. A status that a retry may change is an error with a wait.
    pub(crate) fn try_get(&self, url: &str, ask: Ask<'_>) -> Result<Response<Body>, Refusal> {
        let proxy = self.proxies.of(url).map_err(Refusal::Final)?;
        let mut request = self.agent.get(url).config().proxy(proxy).build();
        if let Some(Token(secret)) = ask.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {secret}"));
        }
        if ask.from > 0 {
            request = request.header(header::RANGE, format!("bytes={}-", ask.from));
            if let Some(validator) = ask.if_range {
                request = request.header(header::IF_RANGE, validator);
            }
        }
        let response = request.call().map_err(|e| transport(url, &e))?;
        judge(url, response)
    }

    /// A whole small answer, with retries.
    pub(crate) fn get_text(&self, url: &str, token: Option<&Token>) -> Result<String, HttpError> {
        let ask = Ask {
            token,
            ..Ask::default()
        };
        let mut failures = 0;
        loop {
            let read = self.try_get(url, ask).and_then(|response| {
                let mut body = response.into_body();
                let config = body.with_config().limit(64 << 20);
                config.read_to_string().map_err(|e| transport(url, &e))
            });
            match read {
                Ok(text) => return Ok(text),
                Err(refusal) => self.wait_after(refusal, &mut failures)?,
            }
        }
    }

    /// Sleeps before the next attempt, or says why there is none.
    pub(crate) fn wait_after(&self, refusal: Refusal, failures: &mut u32) -> Result<(), HttpError> {
        *failures += 1;
        let (error, asked) = match refusal {
            Refusal::Final(error) => return Err(error),
            Refusal::Again(error, asked) => (error, asked),
        };
        if *failures >= self.patience.attempts {
            return Err(error);
        }
        let doubled = self.patience.first_wait * 2u32.pow((*failures - 1).min(16));
        let wait = asked
            .unwrap_or(doubled)
            .max(doubled.min(Duration::from_secs(1)));
        if wait > self.patience.longest_wait {
            return Err(match error {
                HttpError::Status { url, status } => HttpError::Busy { url, status, wait },
                other => other,
            });
        }
        self.sleep(wait)
    }

    fn sleep(&self, wait: Duration) -> Result<(), HttpError> {
        let end = Instant::now() + wait;
        loop {
            self.check_cancelled()?;
            let rest = end.saturating_duration_since(Instant::now());
            if rest.is_zero() {
                return Ok(());
            }
            std::thread::sleep(rest.min(Duration::from_millis(100)));
        }
    }

    pub(crate) fn check_cancelled(&self) -> Result<(), HttpError> {
        if (self.cancelled)() {
            Err(HttpError::Cancelled)
        } else {
            Ok(())
        }
    }
}

/// Why one attempt failed.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// Trying again won't help.
    Final(HttpError),
    /// It may, after the wait that the server asks for.
    Again(HttpError, Option<Duration>),
}

fn judge(url: &str, response: Response<Body>) -> Result<Response<Body>, Refusal> {
    let status = response.status();
    if status.is_success() || status == StatusCode::RANGE_NOT_SATISFIABLE {
        return Ok(response);
    }
    let error = HttpError::Status {
        url: without_query(url).to_owned(),
        status: status.as_u16(),
    };
    if matches!(status.as_u16(), 408 | 425 | 429 | 500 | 502 | 503 | 504) {
        return Err(Refusal::Again(error, retry_after(response.headers())));
    }
    Err(Refusal::Final(error))
}

/// Seconds, or a date.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_secs();
    Some(Duration::from_secs(http_date(text)?.saturating_sub(now)))
}

/// Seconds since 1970 of a date such as `Tue, 24 Nov 2026 21:51:44 GMT`.
fn http_date(text: &str) -> Option<u64> {
    const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let parts: Vec<&str> = text.split_whitespace().collect();
    let [_, day, month, year, time, "GMT"] = parts.as_slice() else {
        return None;
    };
    let month = MONTHS.find(month)? as u64 / 3 + 1;
    let (day, year): (u64, u64) = (day.parse().ok()?, year.parse().ok()?);
    let clock: Vec<u64> = time.split(':').map_while(|n| n.parse().ok()).collect();
    let [hours, minutes, seconds] = clock.as_slice() else {
        return None;
    };
    // Days from 1 March of year 0, less those to 1970.
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year.checked_sub(1)?, month + 9)
    };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day;
    Some(days.checked_sub(719_469)? * 86_400 + hours * 3600 + minutes * 60 + seconds)
}

/// What an attempt that got no usable answer came to.
pub(crate) fn transport(url: &str, error: &ureq::Error) -> Refusal {
    let reason = match error {
        ureq::Error::TooManyRedirects => "it redirects more than 10 times".to_owned(),
        ureq::Error::Timeout(_) => "the server did not answer in time".to_owned(),
        ureq::Error::HostNotFound => "there is no such host, or no network".to_owned(),
        ureq::Error::ConnectProxyFailed(reason) => format!("the proxy refused: {reason}"),
        ureq::Error::Io(e) => e.to_string(),
        other => other.to_string(),
    };
    let transient = matches!(
        error,
        ureq::Error::Io(_)
            | ureq::Error::Timeout(_)
            | ureq::Error::ConnectionFailed
            | ureq::Error::Protocol(_)
    );
    let error = HttpError::Transport {
        url: without_query(url).to_owned(),
        reason,
    };
    if transient {
        Refusal::Again(error, None)
    } else {
        Refusal::Final(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_seconds_since_1970() {
        assert_eq!(http_date("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        assert_eq!(
            http_date("Tue, 24 Nov 2026 21:51:44 GMT"),
            Some(1_795_557_104)
        );
        assert_eq!(
            http_date("Thu, 29 Feb 2024 00:00:01 GMT"),
            Some(1_709_164_801)
        );
        assert_eq!(http_date("soon"), None);
    }

    #[test]
    fn a_token_is_never_shown() {
        assert_eq!(format!("{:?}", Token::new("hf_secret")), "Token(…)");
    }
}
