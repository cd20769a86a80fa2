//! Tables for people: GitHub Markdown and booktabs LaTeX from the same rows.

/// A table of text; the first column is left-aligned, the others right-aligned.
pub(crate) struct TextTable {
    pub(crate) title: String,
    pub(crate) header: Vec<String>,
    pub(crate) rows: Vec<Vec<String>>,
}

impl TextTable {
    pub(crate) fn markdown(&self) -> String {
        let line = |cells: &[String]| {
            let cells: Vec<String> = cells.iter().map(|c| c.replace('|', "\\|")).collect();
            format!("| {} |\n", cells.join(" | "))
        };
        let rule = format!(
            "| --- |{}\n",
            " ---: |".repeat(self.header.len().saturating_sub(1))
        );
        let rows: String = self.rows.iter().map(|row| line(row)).collect();
        format!("**{}**\n\n{}{rule}{rows}", self.title, line(&self.header))
    }

    pub(crate) fn latex(&self) -> String {
        let line = |cells: &[String]| {
            let cells: Vec<String> = cells.iter().map(|c| escape(c)).collect();
            format!("{} \\\\\n", cells.join(" & "))
        };
        let alignment = format!("l{}", "r".repeat(self.header.len().saturating_sub(1)));
        let rows: String = self.rows.iter().map(|row| line(row)).collect();
        format!(
            "\\begin{{table}}\n\\centering\n\\caption{{{}}}\n\\begin{{tabular}}{{{alignment}}}\n\
             \\toprule\n{}\\midrule\n{rows}\\bottomrule\n\\end{{tabular}}\n\\end{{table}}\n",
            escape(&self.title),
            line(&self.header),
        )
    }
}

/// Three significant digits.
pub(crate) fn significant(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let magnitude = libm::floor(libm::log10(value.abs())) as i32;
    if (-4..6).contains(&magnitude) {
        let decimals = (2 - magnitude).max(0) as usize;
        format!("{value:.decimals$}")
    } else {
        format!("{value:.2e}")
    }
}

/// Text as LaTeX shows it literally.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' | '%' | '$' | '#' | '_' | '{' | '}' => out.extend(['\\', c]),
            '~' => out.push_str("\\textasciitilde{}"),
            '^' => out.push_str("\\textasciicircum{}"),
            '\\' => out.push_str("\\textbackslash{}"),
            '<' | '>' | '|' => out.extend(['$', c, '$']),
            '±' => out.push_str("$\\pm$"),
            'α' => out.push_str("$\\alpha$"),
            'β' => out.push_str("$\\beta$"),
            '²' => out.push_str("$^2$"),
            '–' => out.push_str("--"),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> TextTable {
        TextTable {
            title: "CR, 95 % interval".into(),
            header: vec!["a_b".into(), "R²".into()],
            rows: vec![vec!["x|y & z".into(), "0.5 ± 0.1".into()]],
        }
    }

    #[test]
    fn markdown_is_a_table_that_github_draws() {
        let text = table().markdown();
        assert_eq!(
            text,
            "**CR, 95 % interval**\n\n| a_b | R² |\n| --- | ---: |\n| x\\|y & z | 0.5 ± 0.1 |\n"
        );
    }

    #[test]
    fn latex_specials_are_escaped() {
        let text = table().latex();
        assert!(text.contains("\\caption{CR, 95 \\% interval}"), "{text}");
        assert!(text.contains("a\\_b & R$^2$ \\\\"), "{text}");
        assert!(text.contains("x$|$y \\& z & 0.5 $\\pm$ 0.1 \\\\"), "{text}");
    }
}
