//! How different two images look: ΔE (CIE 1976) of blocks of 2 × 2 pixels, over a page.

/// Red, green, blue; row by row.
pub(super) struct Image {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) pixels: Vec<u8>,
}

/// Mean ΔE, and the part of the blocks with a ΔE above 10, which an eye sees at once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Difference {
    pub(super) mean: f64,
    pub(super) plain: f64,
}

impl Image {
    pub(super) fn decode(png: &[u8]) -> Self {
        let mut reader = png::Decoder::new(std::io::Cursor::new(png))
            .read_info()
            .expect("a PNG");
        let mut pixels = vec![0; reader.output_buffer_size().expect("it fits")];
        let info = reader.next_frame(&mut pixels).expect("a whole PNG");
        assert_eq!(info.color_type, png::ColorType::Rgb);
        pixels.truncate(info.buffer_size());
        Self {
            width: info.width as usize,
            height: info.height as usize,
            pixels,
        }
    }

    fn block(&self, x: usize, y: usize) -> [f64; 3] {
        let mut sum = [0.0; 3];
        for (dx, dy) in [(0, 0), (1, 0), (0, 1), (1, 1)] {
            let at = ((2 * y + dy) * self.width + 2 * x + dx) * 3;
            for (channel, total) in sum.iter_mut().enumerate() {
                *total += f64::from(self.pixels[at + channel]) / 4.0;
            }
        }
        lab(sum)
    }

    pub(super) fn difference(&self, other: &Self) -> Difference {
        assert_eq!((self.width, self.height), (other.width, other.height));
        let (width, height) = (self.width / 2, self.height / 2);
        let mut differences = Vec::new();
        for y in 0..height {
            for x in 0..width {
                let (a, b) = (self.block(x, y), other.block(x, y));
                let squares: f64 = a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum();
                differences.push(squares.sqrt());
            }
        }
        let n = differences.len() as f64;
        Difference {
            mean: differences.iter().sum::<f64>() / n,
            plain: differences.iter().filter(|d| **d > 10.0).count() as f64 / n,
        }
    }
}

impl Difference {
    /// Rounding by other processors is far below this, a moved or recoloured mark above.
    pub(super) fn is_seen(self) -> bool {
        self.mean > 0.05 || self.plain > 2e-4
    }
}

/// CIE L*a*b* of an sRGB colour, white D65.
fn lab(rgb: [f64; 3]) -> [f64; 3] {
    let linear = rgb.map(|byte| {
        let value = byte / 255.0;
        if value <= 0.04045 {
            value / 12.92
        } else {
            ((value + 0.055) / 1.055).powf(2.4)
        }
    });
    let row = |m: [f64; 3]| m.iter().zip(linear).map(|(m, v)| m * v).sum::<f64>();
    let x = row([0.4124, 0.3576, 0.1805]) / 0.950_47;
    let y = row([0.2126, 0.7152, 0.0722]);
    let z = row([0.0193, 0.1192, 0.9505]) / 1.088_83;
    let f = |t: f64| {
        if t > 0.008_856 {
            t.cbrt()
        } else {
            7.787 * t + 16.0 / 116.0
        }
    };
    [
        116.0 * f(y) - 16.0,
        500.0 * (f(x) - f(y)),
        200.0 * (f(y) - f(z)),
    ]
}
