//! Matrix products against f64, in every form that the forward pass asks for.

use super::bench::Bench;
use super::kernels::{BYTES, DTYPES, rounded};
use super::oracle::{near, numbers, tolerance};
use crate::Dtype;
use crate::cuda::device::{Memory, Product, View};

const ROWS: usize = 256;
const INNER: usize = 64;
const WIDTH: usize = 48;
/// Numbers from line to line where a matrix is part of a wider one.
const WIDER: usize = 80;

/// What a product is asked for.
#[derive(Clone, Copy, Debug)]
struct Form {
    bias: bool,
    wide: bool,
    add: bool,
}

const FORMS: [Form; 4] = [
    // Queries, keys and values.
    Form {
        bias: true,
        wide: false,
        add: false,
    },
    // Into the feed-forward layer.
    Form {
        bias: false,
        wide: false,
        add: false,
    },
    // Back to the residual stream.
    Form {
        bias: false,
        wide: true,
        add: true,
    },
    // Logits.
    Form {
        bias: false,
        wide: true,
        add: false,
    },
];

/// x and the weight of a product, as lines of wider matrices, and what it is added to.
struct Operands {
    x: Vec<f32>,
    weight: Vec<f32>,
    bias: Vec<f32>,
    before: Vec<f32>,
}

impl Operands {
    fn new(dtype: Dtype) -> Self {
        Self {
            x: rounded(dtype, &numbers(20, ROWS * WIDER)),
            weight: rounded(dtype, &numbers(21, WIDTH * WIDER)),
            bias: rounded(dtype, &numbers(22, WIDTH)),
            before: numbers(23, ROWS * WIDTH),
        }
    }

    fn truth(&self, form: Form) -> Vec<f64> {
        let one = |i: usize| {
            let (row, column) = (i / WIDTH, i % WIDTH);
            let pairs = self.x[row * WIDER..]
                .iter()
                .zip(&self.weight[column * WIDER..]);
            let dot = |sum: f64, (x, w): (&f32, &f32)| sum + f64::from(*x) * f64::from(*w);
            let bias = if form.bias { self.bias[column] } else { 0.0 };
            let before = if form.add { self.before[i] } else { 0.0 };
            pairs
                .take(INNER)
                .fold(f64::from(bias) + f64::from(before), dot)
        };
        (0..ROWS * WIDTH).map(one).collect()
    }
}

#[test]
fn products_agree_with_f64() {
    for dtype in DTYPES {
        let operands = Operands::new(dtype);
        for form in FORMS {
            for bench in Bench::all(dtype, BYTES) {
                let found = multiply(&bench, &operands, form);
                let what = format!("{}, {dtype:?}, {form:?}", bench.name);
                near(&what, &found, &operands.truth(form), apart(dtype, form));
            }
        }
    }
}

/// Only what leaves in 16 bits is rounded to them; tensor cores sum with fewer bits than f32 has.
fn apart(dtype: Dtype, form: Form) -> f64 {
    match dtype {
        Dtype::Bf16 | Dtype::F16 if form.wide => 5e-5,
        _ => tolerance(dtype),
    }
}

fn multiply(bench: &Bench, operands: &Operands, form: Form) -> Vec<f32> {
    let [x, weight, bias] =
        [&operands.x, &operands.weight, &operands.bias].map(|v| bench.elements(v));
    let out = if form.wide {
        bench.floats(&operands.before)
    } else {
        bench.elements(&operands.before)
    };
    let view = |memory: &Memory, stride: usize| View {
        address: memory.address(),
        stride,
    };
    let product = Product {
        rows: ROWS,
        inner: INNER,
        width: WIDTH,
        x: view(&x, WIDER),
        weight: view(&weight, WIDER),
        bias: form.bias.then(|| bias.address()),
        out: view(&out, WIDTH),
        wide: form.wide,
        add: form.add,
    };
    bench.device.multiply(&product).unwrap();
    bench.check();
    if form.wide {
        bench.read_floats(&out)
    } else {
        bench.read_elements(&out)
    }
}
