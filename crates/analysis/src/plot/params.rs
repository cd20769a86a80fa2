use cpipe_data::fit_report::Convention;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FigureName {
    /// The fitted law as filled contours over P and S, with the measured cells.
    Law,
    /// Measured ratios by model and step.
    Grid,
    /// Measured minus fitted ratios by model and step.
    Residuals,
    /// Ratios against P and against S, with intervals and the law's bands.
    Curves,
    /// The exponents of all fits with their intervals.
    Exponents,
    /// Ratios of single chunks by cell; takes the input `chunks`.
    Chunks,
    /// Ratios against training compute, with the front.
    Compute,
}

/// How figures look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StyleName {
    /// White, 180 mm wide, text from 6.5 points.
    #[default]
    Paper,
    /// White, 13.33 inches wide, text from 13 points.
    Slide,
    /// As `slide`, light on dark.
    Dark,
}

/// A kind of file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// Text as outlines.
    Svg,
    /// Pixels.
    Png,
    /// One page, text as outlines.
    Pdf,
}

impl FigureName {
    pub(super) const ALL: [Self; 7] = [
        Self::Law,
        Self::Grid,
        Self::Residuals,
        Self::Curves,
        Self::Exponents,
        Self::Chunks,
        Self::Compute,
    ];

    /// As in pipeline.yaml and in file names.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Law => "law",
            Self::Grid => "grid",
            Self::Residuals => "residuals",
            Self::Curves => "curves",
            Self::Exponents => "exponents",
            Self::Chunks => "chunks",
            Self::Compute => "compute",
        }
    }
}

impl Format {
    pub(super) fn extension(self) -> &'static str {
        match self {
            Self::Svg => "svg",
            Self::Png => "png",
            Self::Pdf => "pdf",
        }
    }
}

/// Size of a page.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Size {
    /// A length such as `180mm`, `18cm`, `7in` or `510pt`; the style's if not given.
    #[serde(default)]
    pub width: Option<String>,
    /// As high as the panels want to be if not given.
    #[serde(default)]
    pub height: Option<String>,
}

/// Sizes of single figures' pages.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sizes {
    /// Of the figure `law`.
    #[serde(default)]
    pub law: Option<Size>,
    /// Of the figure `grid`.
    #[serde(default)]
    pub grid: Option<Size>,
    /// Of the figure `residuals`.
    #[serde(default)]
    pub residuals: Option<Size>,
    /// Of the figure `curves`.
    #[serde(default)]
    pub curves: Option<Size>,
    /// Of the figure `exponents`.
    #[serde(default)]
    pub exponents: Option<Size>,
    /// Of the figure `chunks`.
    #[serde(default)]
    pub chunks: Option<Size>,
    /// Of the figure `compute`.
    #[serde(default)]
    pub compute: Option<Size>,
}

impl Sizes {
    fn of(&self, figure: FigureName) -> Option<&Size> {
        let size = match figure {
            FigureName::Law => &self.law,
            FigureName::Grid => &self.grid,
            FigureName::Residuals => &self.residuals,
            FigureName::Curves => &self.curves,
            FigureName::Exponents => &self.exponents,
            FigureName::Chunks => &self.chunks,
            FigureName::Compute => &self.compute,
        };
        size.as_ref()
    }
}

/// Parameters of the `plot` stage.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlotParams {
    /// Which figures; all that need only cells and fits if not given, which is all but `chunks`.
    #[serde(default = "default_figures")]
    pub figures: Vec<FigureName>,
    /// Which files of each.
    #[serde(default = "default_formats")]
    pub formats: Vec<Format>,
    /// Colours and sizes of text.
    #[serde(default)]
    pub style: StyleName,
    /// Size of every page.
    #[serde(default)]
    pub size: Size,
    /// Size of single figures' pages, before `size`.
    #[serde(default)]
    pub sizes: Sizes,
    /// Pixels an inch in PNG; the style's if not given.
    #[serde(default)]
    pub dpi: Option<f64>,
    /// What P is in the figures; the first convention that was fitted if not given.
    #[serde(default)]
    pub convention: Option<Convention>,
    /// The law that is drawn; the first that was fitted if not given.
    #[serde(default)]
    pub law: Option<String>,
}

fn default_figures() -> Vec<FigureName> {
    use FigureName::{Compute, Curves, Exponents, Grid, Law, Residuals};
    vec![Law, Grid, Residuals, Curves, Exponents, Compute]
}

fn default_formats() -> Vec<Format> {
    vec![Format::Svg, Format::Png, Format::Pdf]
}

/// (parameter, what is wrong with it).
type Refusal = (String, String);

/// Pages narrower than this have no room for a panel, wider ones are a mistake in the unit.
const SIDES: (f64, f64) = (120.0, 5000.0);

impl PlotParams {
    pub(super) fn check(&self) -> Result<(), Refusal> {
        distinct("figures", &self.figures)?;
        distinct("formats", &self.formats)?;
        check_size("size", &self.size)?;
        for figure in FigureName::ALL {
            if let Some(size) = self.sizes.of(figure) {
                check_size(&format!("sizes.{}", figure.name()), size)?;
            }
        }
        if self.dpi.is_some_and(|dpi| !(20.0..=1200.0).contains(&dpi)) {
            return Err(("dpi".into(), "expected 20 to 1200 pixels an inch".into()));
        }
        Ok(())
    }

    /// Width and height of a figure's page in points, as far as they are given.
    pub(super) fn page(&self, figure: FigureName) -> (Option<f64>, Option<f64>) {
        let own = self.sizes.of(figure);
        let side = |of: fn(&Size) -> &Option<String>| {
            let written = own.and_then(|size| of(size).as_ref());
            let written = written.or(of(&self.size).as_ref());
            written.and_then(|text| points(text))
        };
        (side(|size| &size.width), side(|size| &size.height))
    }
}

fn distinct<T: PartialEq>(field: &str, list: &[T]) -> Result<(), Refusal> {
    if list.is_empty() {
        return Err((
            field.to_owned(),
            format!("at least one of the {field} is needed"),
        ));
    }
    let again = (0..list.len()).find(|i| list[..*i].contains(&list[*i]));
    again.map_or(Ok(()), |i| {
        Err((format!("{field}.{i}"), "it stands here twice".to_owned()))
    })
}

fn check_size(field: &str, size: &Size) -> Result<(), Refusal> {
    for (side, written) in [("width", &size.width), ("height", &size.height)] {
        let Some(text) = written else { continue };
        let refuse = |message: String| Err((format!("{field}.{side}"), message));
        match points(text) {
            None => {
                return refuse(format!(
                    "`{text}` is no length; write it as 180mm, 18cm, 7in or 510pt"
                ));
            }
            Some(length) if !(SIDES.0..=SIDES.1).contains(&length) => {
                let message = "expected 120 to 5000 points, which is 42.4 mm to 1763 mm";
                return refuse(format!("`{text}` is {length:.0} points, {message}"));
            }
            Some(_) => {}
        }
    }
    Ok(())
}

/// A length in points.
fn points(text: &str) -> Option<f64> {
    const UNITS: [(&str, f64); 4] = [
        ("mm", 72.0 / 25.4),
        ("cm", 72.0 / 2.54),
        ("in", 72.0),
        ("pt", 1.0),
    ];
    let (number, unit) = UNITS
        .iter()
        .find_map(|(name, unit)| Some((text.trim().strip_suffix(name)?, unit)))?;
    let number: f64 = number.trim_end().parse().ok()?;
    number.is_finite().then_some(number * unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(yaml: serde_json::Value) -> Refusal {
        let params: PlotParams = serde_json::from_value(yaml).expect("parameters");
        params.check().expect_err("refused")
    }

    #[test]
    fn lengths_have_units() {
        assert_eq!(points("25.4 mm"), Some(72.0));
        assert_eq!(points("2.54cm"), Some(72.0));
        assert_eq!(points("7in"), Some(504.0));
        for wrong in ["7", "mm", "7 furlongs", "NaNmm", ""] {
            assert_eq!(points(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn wrong_parameters_are_told_with_their_place() {
        use serde_json::json;
        let all = [
            refused(json!({"size": {"width": "180"}})),
            refused(json!({"size": {"width": "18mm"}})),
            refused(json!({"sizes": {"law": {"height": "5km"}}})),
            refused(json!({"figures": []})),
            refused(json!({"figures": ["law", "grid", "law"]})),
            refused(json!({"formats": ["svg", "svg"]})),
            refused(json!({"dpi": 5})),
        ];
        let told: Vec<String> = all.map(|(field, text)| format!("{field}: {text}")).into();
        insta::assert_snapshot!(told.join("\n"), @r"
        size.width: `180` is no length; write it as 180mm, 18cm, 7in or 510pt
        size.width: `18mm` is 51 points, expected 120 to 5000 points, which is 42.4 mm to 1763 mm
        sizes.law.height: `5km` is no length; write it as 180mm, 18cm, 7in or 510pt
        figures: at least one of the figures is needed
        figures.2: it stands here twice
        formats.1: it stands here twice
        dpi: expected 20 to 1200 pixels an inch
        ");
    }

    #[test]
    fn a_figure_s_own_size_comes_before_that_of_all() {
        let params: PlotParams = serde_json::from_value(serde_json::json!({
            "size": {"width": "360pt", "height": "300pt"},
            "sizes": {"law": {"width": "720pt"}},
        }))
        .expect("parameters");
        assert_eq!(params.page(FigureName::Law), (Some(720.0), Some(300.0)));
        assert_eq!(params.page(FigureName::Grid), (Some(360.0), Some(300.0)));
    }
}
