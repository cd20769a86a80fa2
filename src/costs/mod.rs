//! What a run would cost: bytes to download, disk, and memory and time of the cells to score.

mod downloads;
mod rates;
mod scoring;
mod shape;
#[cfg(test)]
mod tests;

pub(crate) use downloads::Downloads;
pub(crate) use scoring::describe_scoring;

fn gigabytes(bytes: u64) -> String {
    format!("{:.2} GB", bytes as f64 / 1e9)
}
