use std::io::{self, Read};

use cpipe_engine::spec::without_query;
use ureq::Body;
use ureq::http::{HeaderMap, Response, StatusCode, header};

use super::client::{Ask, Client, Refusal, Token};
use super::error::HttpError;

/// The bytes of a remote file from some place on, across connections that break.
pub(crate) struct Remote<'r> {
    client: &'r Client<'r>,
    url: &'r str,
    token: Option<&'r Token>,
    position: u64,
    total: Option<u64>,
    validator: Option<String>,
    /// The digest of the whole will be checked, so its identity need not be.
    trusted: bool,
    body: Option<Box<dyn Read>>,
    failures: u32,
    /// The most bytes that may be read.
    limit: Option<u64>,
    /// What a read failed with.
    error: Option<HttpError>,
}

impl<'r> Remote<'r> {
    /// The file from byte `position` on. Nothing is asked yet.
    pub(crate) fn new(client: &'r Client<'r>, url: &'r str, token: Option<&'r Token>) -> Self {
        Self {
            client,
            url,
            token,
            position: 0,
            total: None,
            validator: None,
            trusted: false,
            body: None,
            failures: 0,
            limit: None,
            error: None,
        }
    }

    /// Starts at `position`, if the file is still the one that the validator names; with `trusted`
    /// a digest will tell in the end.
    pub(crate) fn resume(
        mut self,
        position: u64,
        validator: Option<String>,
        trusted: bool,
    ) -> Self {
        (self.position, self.validator, self.trusted) = (position, validator, trusted);
        self
    }

    /// Refuses to read more than `limit` bytes.
    pub(crate) fn limited(mut self, limit: Option<u64>) -> Self {
        self.limit = limit;
        self
    }

    /// What reading failed with, if it did: others may have wrapped the error that they got.
    pub(crate) fn take_error(&mut self) -> Option<HttpError> {
        self.error.take()
    }

    /// Connects if it is not connected; the length of the whole file, if the server tells.
    pub(crate) fn total(&mut self) -> Result<Option<u64>, HttpError> {
        while self.body.is_none() && self.total.is_none_or(|total| self.position < total) {
            if let Err(refusal) = self.connect() {
                self.client.wait_after(refusal, &mut self.failures)?;
            }
        }
        Ok(self.total)
    }

    /// Byte that is read next.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// What identifies this version of the file.
    pub(crate) fn validator(&self) -> Option<&str> {
        self.validator.as_deref()
    }

    fn connect(&mut self) -> Result<(), Refusal> {
        let ask = Ask {
            token: self.token,
            from: self.position,
            if_range: self.validator.as_deref().filter(|_| !self.trusted),
        };
        let response = self.client.try_get(self.url, ask)?;
        match response.status() {
            StatusCode::PARTIAL_CONTENT => self.go_on(response),
            StatusCode::RANGE_NOT_SATISFIABLE => self.at_the_end(&response),
            _ => self.start_over(response),
        }
    }

    /// 206: the rest of the file.
    fn go_on(&mut self, response: Response<Body>) -> Result<(), Refusal> {
        let range = content_range(response.headers());
        let Some((Some(start), total)) = range.filter(|(start, _)| *start == Some(self.position))
        else {
            return Err(self.unexpected("a range that was not asked for"));
        };
        let rest = response.body().content_length();
        self.agree(total.or_else(|| Some(start + rest?)))?;
        self.body = Some(reader(response));
        Ok(())
    }

    /// 200: the file from its beginning; what is there already is skipped.
    fn start_over(&mut self, response: Response<Body>) -> Result<(), Refusal> {
        let found = validator(response.headers());
        if self.position > 0 && !self.trusted && self.validator.is_some() && found != self.validator
        {
            return Err(Refusal::Final(self.changed()));
        }
        self.agree(response.body().content_length())?;
        self.validator = found.or_else(|| self.validator.take());
        let mut body = reader(response);
        let skipped = io::copy(&mut (&mut body).take(self.position), &mut io::sink());
        match skipped {
            Ok(skipped) if skipped == self.position => self.body = Some(body),
            Ok(_) => return Err(self.broken("the connection was cut")),
            Err(e) => return Err(self.broken(&e.to_string())),
        }
        Ok(())
    }

    /// 416: there is nothing from here on, which is right at the end.
    fn at_the_end(&mut self, response: &Response<Body>) -> Result<(), Refusal> {
        let total = content_range(response.headers()).and_then(|(_, total)| total);
        if total != Some(self.position) {
            return Err(Refusal::Final(self.changed()));
        }
        self.agree(total)
    }

    /// A length that differs from the one before means another file.
    fn agree(&mut self, total: Option<u64>) -> Result<(), Refusal> {
        match (self.total, total) {
            (Some(old), Some(new)) if old != new => Err(Refusal::Final(self.changed())),
            (old, new) => {
                self.total = old.or(new);
                Ok(())
            }
        }
    }

    fn within_limit(&self) -> Result<(), HttpError> {
        match self.limit.filter(|limit| self.position > *limit) {
            Some(limit) => {
                let url = without_query(self.url).to_owned();
                Err(HttpError::TooLarge { url, limit })
            }
            None => Ok(()),
        }
    }

    fn changed(&self) -> HttpError {
        let url = without_query(self.url).to_owned();
        HttpError::Changed { url }
    }

    fn unexpected(&self, reason: &str) -> Refusal {
        Refusal::Final(HttpError::Answer {
            url: without_query(self.url).to_owned(),
            reason: reason.to_owned(),
        })
    }

    fn broken(&self, reason: &str) -> Refusal {
        let error = HttpError::Transport {
            url: without_query(self.url).to_owned(),
            reason: reason.to_owned(),
        };
        Refusal::Again(error, None)
    }

    /// One read; none if the connection broke and the next attempt may go on.
    fn read_some(&mut self, buffer: &mut [u8]) -> Result<Option<usize>, HttpError> {
        self.client.check_cancelled()?;
        let total = self.total()?;
        if total == Some(self.position) {
            return Ok(Some(0));
        }
        let Some(body) = self.body.as_mut() else {
            return Ok(Some(0));
        };
        let refusal = match body.read(buffer) {
            Ok(0) if total.is_none() => return Ok(Some(0)),
            Ok(0) => self.broken("the connection was cut"),
            Ok(count) => {
                self.position += count as u64;
                self.failures = 0;
                return self.within_limit().map(|()| Some(count));
            }
            Err(e) => self.broken(&reading(&e)),
        };
        self.body = None;
        self.client.wait_after(refusal, &mut self.failures)?;
        Ok(None)
    }
}

impl Read for Remote<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.read_some(buffer) {
                Ok(Some(count)) => return Ok(count),
                Ok(None) => {}
                Err(error) => {
                    let message = error.to_string();
                    self.error = Some(error);
                    return Err(io::Error::other(message));
                }
            }
        }
    }
}

fn reading(error: &io::Error) -> String {
    let inner = error
        .get_ref()
        .and_then(|e| e.downcast_ref::<ureq::Error>());
    match inner {
        Some(ureq::Error::Timeout(_)) => "the server fell silent".to_owned(),
        _ => error.to_string(),
    }
}

fn reader(response: Response<Body>) -> Box<dyn Read> {
    let body = response.into_body().into_with_config();
    Box::new(body.limit(u64::MAX).reader())
}

/// A strong entity tag, else the date of the last change.
fn validator(headers: &HeaderMap) -> Option<String> {
    let text = |name| headers.get(name).and_then(|v| v.to_str().ok());
    text(header::ETAG)
        .filter(|tag| !tag.starts_with("W/"))
        .or_else(|| text(header::LAST_MODIFIED))
        .map(str::to_owned)
}

/// `bytes 5-9/10` is (5, 10); `bytes */10` is (none, 10); an unknown length is none.
fn content_range(headers: &HeaderMap) -> Option<(Option<u64>, Option<u64>)> {
    let text = headers.get(header::CONTENT_RANGE)?.to_str().ok()?;
    let (range, total) = text.strip_prefix("bytes ")?.split_once('/')?;
    let start = range
        .split_once('-')
        .and_then(|(start, _)| start.parse().ok());
    Some((start, total.parse().ok()))
}
