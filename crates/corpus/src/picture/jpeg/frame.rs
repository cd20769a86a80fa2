//! The blocks that a picture has.

/// What a `SOF` segment says.
pub(super) struct Frame {
    pub(super) progressive: bool,
    /// Width and height.
    pub(super) size: (usize, usize),
    pub(super) components: Vec<Component>,
    /// Blocks that each scan of all components goes through, in units of the greatest sampling.
    pub(super) units: (usize, usize),
}

/// A colour.
pub(super) struct Component {
    pub(super) id: u8,
    /// Blocks of it in a unit.
    pub(super) sampling: (usize, usize),
    /// Blocks that hold pixels of the picture.
    pub(super) blocks: (usize, usize),
    /// For each block, which coefficients are not 0, as far as progressive scans have said.
    pub(super) nonzero: Vec<u64>,
    /// Blocks in a row of `nonzero`.
    pub(super) stride: usize,
}

impl Frame {
    pub(super) fn read(body: &[u8], progressive: bool) -> Option<Self> {
        let [_, h1, h0, w1, w0, count, rest @ ..] = body else {
            return None;
        };
        let height = usize::from(u16::from_be_bytes([*h1, *h0]));
        let width = usize::from(u16::from_be_bytes([*w1, *w0]));
        let described = rest.as_chunks::<3>().0.get(..usize::from(*count))?;
        let sampling = |[_, s, _]: &[u8; 3]| (usize::from(s >> 4), usize::from(s & 15));
        let most = described.iter().map(sampling);
        let most = most.fold((0, 0), |a: (usize, usize), b| (a.0.max(b.0), a.1.max(b.1)));
        if most.0 == 0 || most.1 == 0 || most.0 > 4 || most.1 > 4 || described.len() > 4 {
            return None;
        }
        let units = (width.div_ceil(8 * most.0), height.div_ceil(8 * most.1));
        let component = |described: &[u8; 3]| {
            let (h, v) = sampling(described);
            let stride = units.0 * h;
            Component {
                id: described[0],
                sampling: (h, v),
                blocks: (
                    (width * h).div_ceil(8 * most.0),
                    (height * v).div_ceil(8 * most.1),
                ),
                nonzero: Vec::new(),
                stride,
            }
        };
        Some(Self {
            progressive,
            size: (width, height),
            components: described.iter().map(component).collect(),
            units,
        })
    }

    /// Makes room for what progressive scans say of the blocks.
    pub(super) fn prepare(&mut self) {
        for component in &mut self.components {
            let blocks = component.stride * self.units.1 * component.sampling.1;
            component.nonzero = vec![0; if self.progressive { blocks } else { 0 }];
        }
    }

    /// Whether a colour has fewer pixels than another.
    pub(super) fn is_subsampled(&self) -> bool {
        let first = self.components.first().map(|c| c.sampling);
        self.components.iter().any(|c| Some(c.sampling) != first)
    }

    /// What the decoder would decode otherwise than libjpeg.
    pub(super) fn unread(&self) -> Option<&'static str> {
        let first = self.components.first()?.sampling;
        let mut others = self.components.iter().map(|c| c.sampling);
        if others.any(|other| other.0 > first.0 || other.1 > first.1) {
            return Some("a JPEG whose first colour has fewer pixels than another");
        }
        let odd = |(h, v): (usize, usize)| h == 3 || v == 3;
        if self.components.iter().any(|c| odd(c.sampling)) {
            return Some("a JPEG with a third of the pixels in a colour");
        }
        let four = self.components.len() == 4 && self.is_subsampled();
        four.then_some("a CMYK JPEG whose colours differ in their number of pixels")
    }
}
