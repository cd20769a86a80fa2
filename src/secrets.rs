//! What is never shown or recorded: the queries of URLs, which may be what opens them.

/// The text with a `*` for every byte of a URL's query, so that places in it stay right.
pub(crate) fn masked(text: &str) -> String {
    let mut parts = text.split("://");
    let mut shown = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let is_end = |c: char| c.is_whitespace() || matches!(c, '\'' | '"');
        let (url, rest) = part.split_at(part.find(is_end).unwrap_or(part.len()));
        let (bare, query) = url.split_at(url.find(['?', '#']).map_or(url.len(), |at| at + 1));
        shown.extend(["://", bare, &"*".repeat(query.len()), rest]);
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_of_urls_are_masked_and_nothing_else() {
        for (given, kept) in [
            (
                "a.url=https://a.org/x?key=Sé",
                "a.url=https://a.org/x?*******",
            ),
            (
                "url=['https://a.org/x?S,[T', \"http://b.org/y#S\"]",
                "url=['https://a.org/x?****', \"http://b.org/y#*\"]",
            ),
            ("text=what? nothing", "text=what? nothing"),
            ("url=https://a.org/x", "url=https://a.org/x"),
        ] {
            assert_eq!(masked(given), kept);
            assert_eq!(given.len(), kept.len());
        }
    }
}
