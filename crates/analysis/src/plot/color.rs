//! Colours that people with any colour vision can tell apart.

/// Red, green, blue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Colour(pub(super) u8, pub(super) u8, pub(super) u8);

/// Viridis at equal steps from 0 to 1: perceptually uniform and colour-blind-safe.
const VIRIDIS: [Colour; 11] = [
    Colour(68, 1, 84),
    Colour(72, 36, 117),
    Colour(65, 68, 135),
    Colour(53, 95, 141),
    Colour(42, 120, 142),
    Colour(33, 145, 140),
    Colour(34, 168, 132),
    Colour(68, 191, 112),
    Colour(122, 209, 81),
    Colour(189, 223, 38),
    Colour(253, 231, 37),
];

/// Blue over white to red, from `ColorBrewer`.
const ON_LIGHT: [Colour; 9] = [
    Colour(33, 102, 172),
    Colour(67, 147, 195),
    Colour(146, 197, 222),
    Colour(209, 229, 240),
    Colour(247, 247, 247),
    Colour(253, 219, 199),
    Colour(244, 165, 130),
    Colour(214, 96, 77),
    Colour(178, 24, 43),
];

/// Blue over near black to red.
const ON_DARK: [Colour; 9] = [
    Colour(140, 196, 255),
    Colour(88, 150, 216),
    Colour(52, 104, 160),
    Colour(38, 64, 96),
    Colour(34, 37, 43),
    Colour(88, 48, 38),
    Colour(152, 72, 52),
    Colour(216, 110, 84),
    Colour(255, 168, 146),
];

/// Okabe and Ito's classes; black left out.
const CLASSES: [Colour; 7] = [
    Colour(0, 114, 178),
    Colour(213, 94, 0),
    Colour(0, 158, 115),
    Colour(204, 121, 167),
    Colour(230, 159, 0),
    Colour(86, 180, 233),
    Colour(240, 228, 66),
];

/// Those of them that are bright enough for a dark page come first there.
const CLASSES_ON_DARK: [usize; 7] = [5, 4, 2, 3, 6, 1, 0];

/// The map at `t` from 0 to 1, straight between its stops.
fn along(map: &[Colour], t: f64) -> Colour {
    let at = t.clamp(0.0, 1.0) * (map.len() - 1) as f64;
    let low = (at as usize).min(map.len() - 2);
    let part = at - low as f64;
    map[low].mixed(map[low + 1], part)
}

/// The sequential map.
pub(super) fn viridis(t: f64) -> Colour {
    along(&VIRIDIS, t)
}

/// The diverging map, `t` from -1 to 1.
pub(super) fn diverging(t: f64, dark: bool) -> Colour {
    let map = if dark { &ON_DARK } else { &ON_LIGHT };
    along(map, f64::midpoint(t.clamp(-1.0, 1.0), 1.0))
}

/// The colour of a class without an order.
pub(super) fn class(index: usize, dark: bool) -> Colour {
    let index = index % CLASSES.len();
    CLASSES[if dark { CLASSES_ON_DARK[index] } else { index }]
}

impl Colour {
    /// `part` of the way to another colour.
    pub(super) fn mixed(self, other: Self, part: f64) -> Self {
        let mix =
            |a: u8, b: u8| libm::round(f64::from(a) + part * (f64::from(b) - f64::from(a))) as u8;
        Self(
            mix(self.0, other.0),
            mix(self.1, other.1),
            mix(self.2, other.2),
        )
    }

    /// Black or white, whichever stands out more from it (WCAG 2's contrast).
    pub(super) fn ink(self) -> Self {
        let light = self.luminance();
        if (light + 0.05) * (light + 0.05) > 1.05 * 0.05 {
            Self(0, 0, 0)
        } else {
            Self(255, 255, 255)
        }
    }

    /// Relative luminance after WCAG 2.
    fn luminance(self) -> f64 {
        let linear = |byte: u8| {
            let value = f64::from(byte) / 255.0;
            if value <= 0.04045 {
                value / 12.92
            } else {
                libm::pow((value + 0.055) / 1.055, 2.4)
            }
        };
        0.2126 * linear(self.0) + 0.7152 * linear(self.1) + 0.0722 * linear(self.2)
    }

    /// Contrast after WCAG 2, from 1 to 21.
    #[cfg(test)]
    pub(super) fn contrast(self, other: Self) -> f64 {
        let (a, b) = (self.luminance() + 0.05, other.luminance() + 0.05);
        (a / b).max(b / a)
    }
}

impl std::fmt::Display for Colour {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "#{:02x}{:02x}{:02x}", self.0, self.1, self.2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_can_be_read_on_every_colour_of_every_map() {
        for i in 0..=100 {
            let t = f64::from(i) / 100.0;
            for colour in [
                viridis(t),
                diverging(2.0 * t - 1.0, false),
                diverging(2.0 * t - 1.0, true),
            ] {
                assert!(colour.contrast(colour.ink()) > 4.5, "{colour}");
            }
        }
    }

    #[test]
    fn maps_pass_through_their_stops() {
        assert_eq!(viridis(0.5), VIRIDIS[5]);
        assert_eq!(diverging(0.0, false), ON_LIGHT[4]);
        assert_eq!(diverging(-9.0, true), ON_DARK[0]);
    }
}
