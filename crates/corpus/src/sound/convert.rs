//! Samples of any kind to 16-bit mono at the wanted rate.
//!
//! One rule for all formats: a sample becomes a number in ±1 (an integer of n bits is divided by
//! 2^(n-1)), channels are averaged, other rates are resampled, and the result times 32,768 is rounded
//! to the nearest integer, ties away from zero, and clipped to 16 bits. So 16-bit mono at the wanted
//! rate goes through untouched.

use rubato::audioadapter_buffers::owned::InterleavedOwned;
use rubato::{
    Async, FixedAsync, Resampler, SincInterpolationParameters, SincInterpolationType,
    WindowFunction,
};
use symphonia::core::audio::GenericAudioBufferRef;

use crate::error::CorpusError;
use crate::named::Named;

/// The most frames that a file may come to: 8 GiB of memory, or 6 hours at 44.1 kHz.
const MOST_FRAMES: usize = 1 << 30;

/// The average of all channels, in ±1.
pub(super) struct Mono<'n> {
    named: Named<'n>,
    rate: u32,
    samples: Vec<f64>,
    interleaved: Vec<f64>,
}

impl<'n> Mono<'n> {
    /// No sound yet, at `rate` frames a second.
    pub(super) fn new(named: Named<'n>, rate: u32) -> Result<Self, CorpusError> {
        if rate == 0 || rate == u32::MAX {
            return Err(named.damaged("its sample rate is not a number above 0 and below 2^32"));
        }
        Ok(Self {
            named,
            rate,
            samples: Vec::new(),
            interleaved: Vec::new(),
        })
    }

    /// Frames so far.
    pub(super) fn frames(&self) -> usize {
        self.samples.len()
    }

    /// Adds what was decoded.
    pub(super) fn add(&mut self, buffer: &GenericAudioBufferRef<'_>) -> Result<(), CorpusError> {
        let channels = buffer.num_planes().max(1);
        if buffer.spec().rate() != self.rate {
            return Err(self.named.unread("sound whose sample rate changes"));
        }
        if self.samples.len() + buffer.frames() > MOST_FRAMES {
            return Err(too_long(self.named));
        }
        buffer.copy_to_vec_interleaved(&mut self.interleaved);
        for frame in self.interleaved.chunks_exact(channels) {
            let mean = frame.iter().sum::<f64>() / frame.len() as f64;
            if !mean.is_finite() {
                let reason = format!("sample {} is not a finite number", self.samples.len());
                return Err(self.named.damaged(reason));
            }
            self.samples.push(mean);
        }
        Ok(())
    }
}

fn too_long(named: Named<'_>) -> CorpusError {
    named.too_large(format!(
        "its sound has more than {MOST_FRAMES} samples a channel"
    ))
}

/// Little-endian 16-bit samples at `rate`.
pub(super) fn to_pcm(named: Named<'_>, mono: Mono, rate: u32) -> Result<Vec<u8>, CorpusError> {
    let samples = if mono.rate == rate {
        mono.samples
    } else {
        resample(named, mono.samples, mono.rate, rate)?
    };
    Ok(samples
        .into_iter()
        .flat_map(|s| to_16_bits(s).to_le_bytes())
        .collect())
}

fn to_16_bits(sample: f64) -> i16 {
    (sample * 32768.0).round().clamp(-32768.0, 32767.0) as i16
}

fn resample(named: Named<'_>, mono: Vec<f64>, from: u32, to: u32) -> Result<Vec<f64>, CorpusError> {
    let length = mono.len();
    if length as u64 * u64::from(to) / u64::from(from) > MOST_FRAMES as u64 {
        return Err(too_long(named));
    }
    let failed = |reason: String| named.damaged(format!("it can't be resampled: {reason}"));
    let parameters = SincInterpolationParameters {
        sinc_len: 256,
        f_cutoff: Some(0.95),
        oversampling_factor: 256,
        interpolation: SincInterpolationType::Cubic,
        window: WindowFunction::BlackmanHarris2,
    };
    let ratio = f64::from(to) / f64::from(from);
    let mut resampler = Async::<f64>::new_sinc(ratio, 1.0, &parameters, 1024, 1, FixedAsync::Input)
        .map_err(|e| failed(e.to_string()))?;
    let input =
        InterleavedOwned::new_from(mono, 1, length).map_err(|e| failed(format!("{e:?}")))?;
    let output = resampler
        .process_all(&input, length, None)
        .map_err(|e| failed(e.to_string()))?;
    Ok(output.take_data())
}
