//! The study's own words: Markdown to HTML that fits into the page and can do nothing there.

use pulldown_cmark::{CowStr, Event, HeadingLevel, Options, Parser, Tag, TagEnd, html};

/// The heading above the words; theirs go below it.
const ABOVE: usize = 2;

/// Renders Markdown. HTML in it is shown as text, images become links, links that would run
/// something lose their target.
pub(super) fn render(markdown: &str) -> String {
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH;
    let mut headings = Headings { last: ABOVE };
    let events = Parser::new_ext(markdown, options).map(|event| headings.place(plain(event)));
    let mut out = String::new();
    html::push_html(&mut out, events);
    // A wide table scrolls by itself; it is reached by the keyboard too.
    out.replace(
        "<table>",
        "<div class=\"scroll\" role=\"group\" aria-label=\"Table in the text\" tabindex=\"0\"><table>",
    )
    .replace("</table>", "</table></div>")
}

fn plain(event: Event<'_>) -> Event<'_> {
    match event {
        Event::Html(text) | Event::InlineHtml(text) => Event::Text(text),
        Event::Start(Tag::HtmlBlock) => Event::Start(Tag::Paragraph),
        Event::End(TagEnd::HtmlBlock) => Event::End(TagEnd::Paragraph),
        Event::Start(
            Tag::Link {
                link_type,
                dest_url,
                title,
                id,
            }
            | Tag::Image {
                link_type,
                dest_url,
                title,
                id,
            },
        ) => Event::Start(Tag::Link {
            link_type,
            dest_url: harmless(dest_url),
            title,
            id,
        }),
        Event::End(TagEnd::Image) => Event::End(TagEnd::Link),
        other => other,
    }
}

/// A target that only leads somewhere; any other leads to the top of the page.
fn harmless(target: CowStr<'_>) -> CowStr<'_> {
    let scheme = target.split_once(':').map(|(scheme, _)| scheme);
    let is_relative = scheme.is_none_or(|scheme| scheme.contains(['/', '#', '?']));
    let is_known = matches!(scheme, Some("http" | "https" | "mailto" | "doi"));
    if is_relative || is_known {
        target
    } else {
        "#top".into()
    }
}

/// Headings one below the other, without gaps, below the heading of the section.
struct Headings {
    last: usize,
}

impl Headings {
    fn place<'e>(&mut self, event: Event<'e>) -> Event<'e> {
        match event {
            Event::Start(Tag::Heading { level, .. }) => {
                self.last = (level as usize + ABOVE).min(self.last + 1).min(6);
                Event::Start(Tag::Heading {
                    level: self.level(),
                    id: None,
                    classes: Vec::new(),
                    attrs: Vec::new(),
                })
            }
            Event::End(TagEnd::Heading(_)) => Event::End(TagEnd::Heading(self.level())),
            other => other,
        }
    }

    fn level(&self) -> HeadingLevel {
        HeadingLevel::try_from(self.last).unwrap_or(HeadingLevel::H6)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn html_in_the_words_is_text() {
        let shown = render("a <b onclick=x>b</b>\n\n<script>alert(1)</script>\n");
        assert!(!shown.contains("<script"), "{shown}");
        assert!(!shown.contains("<b "), "{shown}");
        assert!(shown.contains("&lt;script&gt;"), "{shown}");
    }

    #[test]
    fn headings_follow_each_other() {
        let shown = render("### deep\n\n# high\n\n## low\n\n#### lower\n");
        for heading in ["<h3>deep", "<h3>high", "<h4>low", "<h5>lower"] {
            assert!(shown.contains(heading), "{heading}: {shown}");
        }
    }

    #[test]
    fn nothing_is_fetched_and_nothing_runs() {
        let shown = render("![picture](https://x.org/p.png) [a](javascript:alert(1)) [b](DATA:x)");
        assert!(!shown.contains("<img"), "{shown}");
        assert!(!shown.to_lowercase().contains("javascript:"), "{shown}");
        assert!(!shown.contains("DATA:"), "{shown}");
        assert!(
            shown.contains("<a href=\"https://x.org/p.png\">picture</a>"),
            "{shown}"
        );
    }
}
