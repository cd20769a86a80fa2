"""Reference fits for the analysis crate, by SciPy: writes fixtures/fits.json and fixtures/laws.json.

Requirements (versions used): Python 3.11, numpy 2.4.6, scipy 1.17.1.
Run from anywhere:  python make_fit_fixtures.py [PUBLISHED_CSV]
PUBLISHED_CSV holds the 75 published values (columns modality, params_nominal, step, cr). Without it the
published cases are read back from the existing fits.json, so that the script runs from a plain clone.

Every case is the least-squares fit of  CR = a + b P^-alpha + c S^-beta  with a, b, c >= 0 and
alpha, beta in [0.001, 3]. For given (alpha, beta) the best (a, b, c) is a non-negative linear problem (NNLS),
so the search runs over (alpha, beta) only: a grid for the global minimum, then Nelder-Mead on the NNLS
residual from the best grid points, then Newton steps on the active parameters in float64 until they stand still.
fits.json has no random numbers: the same inputs give the same file on the same SciPy and BLAS.

laws.json has, for the published values, other laws and losses, by scipy.optimize.least_squares from many starts in
the logarithms of all parameters (`cost` doubled is the objective), and the quantiles of a bootstrap over cells
(numpy's PCG64, seed 0; grid and Nelder-Mead on the NNLS residual) around both ends of a 95 % interval.

p: parameters (count), s: training steps (count), y: compression ratio (unitless), all arrays of one length.
rss: sum of squared residuals; rmse = sqrt(rss / n); r2 = 1 - rss / sum (y - mean y)^2.
"""

import csv
import json
import sys
from pathlib import Path

import numpy as np
import scipy
from scipy.optimize import least_squares, minimize, nnls

HERE = Path(__file__).resolve().parent
OUT = HERE / "fixtures" / "fits.json"
NANO = HERE.parents[2] / "assets" / "nano"
LOW, HIGH = 0.001, 3.0
PUBLISHED_SOURCE = (
    "compression ratios as printed (three digits) in tables 2-4 of the paper under study; P nominal"
)


def columns(theta, p, s):
    """Design columns 1, (P/P0)^-alpha, (S/S0)^-beta; the geometric means P0, S0 keep them well scaled."""
    alpha, beta = theta
    p0, s0 = np.exp(np.log(p).mean()), np.exp(np.log(s).mean())
    matrix = np.column_stack([np.ones_like(p), (p / p0) ** -alpha, (s / s0) ** -beta])
    return matrix, np.array([1.0, p0**alpha, s0**beta])


def inner(theta, p, s, y):
    """Residual sum of squares and scaled (a, b, c) of the NNLS problem at theta."""
    matrix, _ = columns(theta, p, s)
    coefficients, _ = nnls(matrix, y)
    residual = matrix @ coefficients - y
    return float(residual @ residual), coefficients


def clipped(theta):
    """theta moved into the box."""
    return np.clip(theta, LOW, HIGH)


def search(p, s, y):
    """Global minimum over the box: grid, then Nelder-Mead (twice) from the 24 best grid points."""
    axis = np.concatenate([np.geomspace(LOW, 0.3, 40), np.linspace(0.32, HIGH, 60)])
    grid = [(inner((i, j), p, s, y)[0], i, j) for i in axis for j in axis]
    grid.sort()
    best = (np.inf, None)
    options = {"xatol": 1e-13, "fatol": 0.0, "maxiter": 1500, "maxfev": 3000}
    for _, i, j in grid[:24]:
        theta = np.array([i, j])
        for _ in range(2):
            # The logarithm gives small exponents the same relative resolution as large ones.
            found = minimize(
                lambda z: inner(clipped(np.exp(z)), p, s, y)[0],
                np.log(theta),
                method="Nelder-Mead",
                options=options,
            )
            theta = clipped(np.exp(found.x))
        best = min(best, (inner(theta, p, s, y)[0], tuple(theta)))
    return np.array(best[1])


def polish(theta, p, s, y):
    """Gauss-Newton on the parameters off their bounds: to float64's own limit, kept only while RSS falls or holds."""
    value, linear = inner(theta, p, s, y)
    for _ in range(50):
        matrix, _ = columns(theta, p, s)
        p0, s0 = np.exp(np.log(p).mean()), np.exp(np.log(s).mean())
        jacobian = np.column_stack(
            [
                matrix,
                -linear[1] * np.log(p / p0) * matrix[:, 1],
                -linear[2] * np.log(s / s0) * matrix[:, 2],
            ]
        )
        free = np.concatenate([linear > 0, (theta > LOW) & (theta < HIGH)])
        residual = y - matrix @ linear
        step = np.zeros(5)
        step[free] = np.linalg.lstsq(jacobian[:, free], residual, rcond=None)[0]
        trial = clipped(theta + step[3:])
        new, coefficients = inner(trial, p, s, y)
        if not new <= value * (1 + 1e-15) or np.max(np.abs(trial - theta) / theta) < 1e-14:
            break
        theta, value, linear = trial, new, coefficients
    return theta


def fit(name, p, s, y):
    """One case: inputs and fitted parameters, in the format that the Rust test reads."""
    p, s, y = (np.asarray(v, dtype=np.float64) for v in (p, s, y))
    theta = polish(search(p, s, y), p, s, y)
    rss, linear = inner(theta, p, s, y)
    a, b, c = (float(v) for v in linear * columns(theta, p, s)[1])
    total = float(((y - y.mean()) ** 2).sum())
    return {
        "name": name,
        "p": p.tolist(),
        "s": s.tolist(),
        "y": y.tolist(),
        "a": a,
        "b": b,
        "c": c,
        "alpha": float(theta[0]),
        "beta": float(theta[1]),
        "rss": rss,
        "r2": 1 - rss / total,
        "rmse": float(np.sqrt(rss / len(y))),
    }


def nano_cases():
    """The six modality x protocol groups of the nano suite; P without the embeddings."""
    rows = list(csv.DictReader((NANO / "eval_reference.csv").open()))
    for modality in ("text", "image", "speech"):
        for protocol in ("paper", "full"):
            group = [r for r in rows if r["modality"] == modality]
            yield (
                f"nano/{modality}/{protocol}",
                [float(r["params_non_embedding"]) for r in group],
                [float(r["step"]) for r in group],
                [float(r[f"cr_{protocol}"]) for r in group],
            )


def published_cases(path):
    """The paper's 75 values with nominal P, from the CSV or, without it, from the last fits.json."""
    if path is None:
        for case in json.loads(OUT.read_text())["cases"]:
            if case["name"].startswith("published/"):
                yield case["name"], case["p"], case["s"], case["y"]
        return
    rows = list(csv.DictReader(path.open()))
    for modality in ("text", "image", "speech"):
        group = [r for r in rows if r["modality"] == modality]
        yield (
            f"published/{modality}",
            [float(r["params_nominal"]) for r in group],
            [float(r["step"]) for r in group],
            [float(r["cr"]) for r in group],
        )


# Known parameters (a, b, c, alpha, beta); the fit has to find them from values rounded to float64 only.
SYNTHETIC = {
    "synthetic/nano-scale": ((0.25, 2.0, 0.9, 0.30, 0.55), (25472, 56640, 150080, 335712, 793344),
                             (64, 256, 512, 1024, 2048)),
    "synthetic/pythia-scale": ((0.1, 60.0, 14.0, 0.38, 0.75), (70e6, 160e6, 410e6, 1e9, 1.4e9),
                               (1000, 8000, 32000, 128000, 143000)),
}


def synthetic_cases():
    """Noise-free grids of five sizes x five steps."""
    for name, ((a, b, c, alpha, beta), sizes, steps) in SYNTHETIC.items():
        p, s = (g.ravel() for g in np.meshgrid(np.array(sizes, float), np.array(steps, float), indexing="ij"))
        yield name, p, s, a + b * p**-alpha + c * s**-beta


# Laws by name: parameters in the order of the formula, value at log parameters z, and the range of starts of z.
EXPONENT, AMPLITUDE = (-3.5, 0.0), (-4.0, 10.0)
LAWS = {
    "additive": (
        ("a", "b", "alpha", "c", "beta"),
        lambda z, p, s: np.exp(z[0]) + np.exp(z[1] - np.exp(z[2]) * np.log(p)) + np.exp(z[3] - np.exp(z[4]) * np.log(s)),
        ((-3.0, 0.0), AMPLITUDE, EXPONENT, AMPLITUDE, EXPONENT),
    ),
    "kaplan": (
        ("Pc", "alpha_P", "alpha_D", "Dc"),
        lambda z, p, s: np.exp(np.exp(z[2]) * np.logaddexp(
            np.exp(z[1] - z[2]) * (z[0] - np.log(p)), z[3] - np.log(s * TOKENS_PER_STEP))),
        ((-30.0, 15.0), EXPONENT, EXPONENT, (0.0, 25.0)),
    ),
}
TOKENS_PER_STEP = 2097152.0
HUBER = 0.01


def law_case(group, law, loss, space, p, s, y):
    """The best of 300 seeded starts; parameters that run off to 0 or infinity are not in the chosen cases."""
    p, s, y = (np.asarray(v, dtype=np.float64) for v in (p, s, y))
    names, value, ranges = LAWS[law]

    def residual(z):
        with np.errstate(all="ignore"):
            v = value(z, p, s)
            difference = np.log(y) - np.log(v) if space == "log" else y - v
        return np.nan_to_num(difference, nan=1e3, posinf=1e3, neginf=-1e3)

    random = np.random.default_rng(0)
    best = None
    for _ in range(300):
        start = [random.uniform(*r) for r in ranges]
        options = {"xtol": 1e-15, "ftol": 1e-15, "gtol": 1e-15, "max_nfev": 3000, "x_scale": "jac"}
        kind = {"loss": "huber", "f_scale": HUBER} if loss == "huber" else {}
        found = least_squares(residual, start, **options, **kind)
        if best is None or found.cost < best.cost:
            best = found
    parameters = dict(zip(names, (float(v) for v in np.exp(best.x))))
    return {"group": group, "law": law, "loss": loss, "space": space, "objective": 2 * float(best.cost),
            "parameters": parameters}


def bootstrap_case(group, p, s, y, refits=2000):
    """Quantiles of refits over resampled cells, around 2.5 % and 97.5 %: within Monte-Carlo error of another bootstrap."""
    p, s, y = (np.asarray(v, dtype=np.float64) for v in (p, s, y))
    random = np.random.default_rng(0)
    axis = np.geomspace(LOW, HIGH, 14)
    rows = []
    while len(rows) < refits:
        i = random.integers(0, len(y), len(y))
        if len(set(p[i])) < 2 or len(set(s[i])) < 2:
            continue
        grid = sorted((inner((a, b), p[i], s[i], y[i])[0], a, b) for a in axis for b in axis)
        best = (np.inf, None)
        for _, a, b in grid[:2]:
            found = minimize(lambda z: inner(clipped(np.exp(z)), p[i], s[i], y[i])[0], np.log([a, b]),
                             method="Nelder-Mead", options={"xatol": 1e-5, "fatol": 0.0, "maxiter": 300})
            best = min(best, (found.fun, tuple(clipped(np.exp(found.x)))))
        linear = inner(best[1], p[i], s[i], y[i])[1] * columns(best[1], p[i], s[i])[1]
        rows.append([linear[0], linear[2], *best[1]])
    rows = np.array(rows)
    levels = [0.012, 0.038, 0.962, 0.988]
    quantiles = {name: [float(q) for q in np.quantile(rows[:, k], levels)]
                 for k, name in enumerate(("a", "c", "alpha", "beta"))}
    return {"group": group, "refits": refits, "levels": levels, "quantiles": quantiles}


def main():
    """Fits every case and writes the files."""
    published = list(published_cases(Path(sys.argv[1]) if len(sys.argv) > 1 else None))
    cases = [fit(*case) for case in [*nano_cases(), *published, *synthetic_cases()]]
    OUT.parent.mkdir(parents=True, exist_ok=True)
    document = {"scipy": scipy.__version__, "published_source": PUBLISHED_SOURCE, "cases": cases}
    OUT.write_text(json.dumps(document, indent=1) + "\n")
    chosen = [("text", "kaplan", "squares", "linear"), ("image", "kaplan", "squares", "linear"),
              ("text", "kaplan", "huber", "log"), ("text", "additive", "squares", "log"),
              ("image", "additive", "squares", "log"), ("speech", "additive", "huber", "linear"),
              ("text", "additive", "huber", "log")]
    groups = {case[0]: case[1:] for case in published}
    laws = [law_case(f"published/{m}", *how, *groups[f"published/{m}"]) for m, *how in chosen]
    boots = [bootstrap_case(name, *groups[name]) for name in ("published/text", "published/speech")]
    document = {"scipy": scipy.__version__, "numpy": np.__version__, "tokens_per_step": TOKENS_PER_STEP,
                "huber": HUBER, "laws": laws, "bootstraps": boots}
    (OUT.parent / "laws.json").write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
