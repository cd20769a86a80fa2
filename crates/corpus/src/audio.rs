//! Speech: FLAC and WAV to 16-bit little-endian mono PCM.

use std::path::Path;

use claxon::FlacReader;
use hound::{SampleFormat, WavReader};
use rubato::audioadapter_buffers::owned::InterleavedOwned;
use rubato::{
    Async, FixedAsync, Resampler, SincInterpolationParameters, SincInterpolationType,
    WindowFunction,
};

use crate::error::CorpusError;

/// Interleaved samples, scaled to ±1 if they were not 16-bit integers.
struct Sound {
    samples: Samples,
    channels: usize,
    rate: u32,
}

enum Samples {
    /// Kept as they are, so that 16-bit mono at the wanted rate goes through untouched.
    Exact(Vec<i16>),
    Scaled(Vec<f64>),
}

/// The PCM bytes of a file at `rate` samples a second.
pub(crate) fn pcm(file: &str, path: &Path, rate: u32) -> Result<Vec<u8>, CorpusError> {
    let sound = if file.to_lowercase().ends_with(".wav") {
        read_wav(file, path)?
    } else {
        read_flac(file, path)?
    };
    let mono = match sound {
        Sound {
            samples: Samples::Exact(samples),
            channels: 1,
            rate: found,
        } if found == rate => samples,
        other => convert(file, other, rate)?,
    };
    Ok(mono.into_iter().flat_map(i16::to_le_bytes).collect())
}

fn convert(file: &str, sound: Sound, rate: u32) -> Result<Vec<i16>, CorpusError> {
    let scaled: Vec<f64> = match sound.samples {
        Samples::Exact(samples) => samples
            .into_iter()
            .map(|s| f64::from(s) / 32768.0)
            .collect(),
        Samples::Scaled(samples) => samples,
    };
    let mono: Vec<f64> = scaled
        .chunks_exact(sound.channels.max(1))
        .map(|frame| frame.iter().sum::<f64>() / frame.len() as f64)
        .collect();
    let mono = if sound.rate == rate {
        mono
    } else {
        resample(file, mono, sound.rate, rate)?
    };
    // Rounds to nearest, ties away from zero, and clips.
    Ok(mono
        .into_iter()
        .map(|s| (s * 32768.0).round().clamp(-32768.0, 32767.0) as i16)
        .collect())
}

fn resample(file: &str, mono: Vec<f64>, from: u32, to: u32) -> Result<Vec<f64>, CorpusError> {
    let failed = |reason: String| CorpusError::undecodable(file, "sound", reason);
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
    let length = mono.len();
    let input =
        InterleavedOwned::new_from(mono, 1, length).map_err(|e| failed(format!("{e:?}")))?;
    let output = resampler
        .process_all(&input, length, None)
        .map_err(|e| failed(e.to_string()))?;
    Ok(output.take_data())
}

fn read_flac(file: &str, path: &Path) -> Result<Sound, CorpusError> {
    let failed = |e: claxon::Error| CorpusError::undecodable(file, "FLAC", e);
    let mut reader = FlacReader::open(path).map_err(failed)?;
    let info = reader.streaminfo();
    let samples: Vec<i32> = reader.samples().collect::<Result<_, _>>().map_err(failed)?;
    let expected = info.samples.map(|n| n * u64::from(info.channels));
    if let Some(expected) = expected.filter(|n| *n != samples.len() as u64) {
        let reason = format!(
            "it holds {} samples, its header says {expected}",
            samples.len()
        );
        return Err(CorpusError::undecodable(file, "FLAC", reason));
    }
    Ok(Sound {
        samples: scale(samples, info.bits_per_sample),
        channels: info.channels as usize,
        rate: info.sample_rate,
    })
}

fn read_wav(file: &str, path: &Path) -> Result<Sound, CorpusError> {
    let failed = |e: hound::Error| CorpusError::undecodable(file, "WAV", e);
    let mut reader = WavReader::open(path).map_err(failed)?;
    let spec = reader.spec();
    let samples = match spec.sample_format {
        SampleFormat::Float => Samples::Scaled(
            reader
                .samples::<f32>()
                .map(|s| s.map(f64::from))
                .collect::<Result<_, _>>()
                .map_err(failed)?,
        ),
        SampleFormat::Int => {
            let samples = reader
                .samples::<i32>()
                .collect::<Result<_, _>>()
                .map_err(failed)?;
            scale(samples, u32::from(spec.bits_per_sample))
        }
    };
    Ok(Sound {
        samples,
        channels: usize::from(spec.channels),
        rate: spec.sample_rate,
    })
}

fn scale(samples: Vec<i32>, bits: u32) -> Samples {
    if bits == 16 {
        return Samples::Exact(samples.into_iter().map(|s| s as i16).collect());
    }
    let full = f64::from(1u32 << (bits.clamp(1, 32) - 1));
    Samples::Scaled(samples.into_iter().map(|s| f64::from(s) / full).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wav(
        rate: u32,
        channels: u16,
        bits: u16,
        samples: &[i32],
    ) -> (tempfile::TempDir, std::path::PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.wav");
        let spec = hound::WavSpec {
            channels,
            sample_rate: rate,
            bits_per_sample: bits,
            sample_format: SampleFormat::Int,
        };
        let mut writer = hound::WavWriter::create(&path, spec).unwrap();
        for sample in samples {
            writer.write_sample(*sample).unwrap();
        }
        writer.finalize().unwrap();
        (dir, path)
    }

    fn values(bytes: &[u8]) -> Vec<i16> {
        bytes
            .as_chunks::<2>()
            .0
            .iter()
            .map(|b| i16::from_le_bytes(*b))
            .collect()
    }

    #[test]
    fn sixteen_bit_mono_goes_through_untouched() {
        let (_dir, path) = wav(16_000, 1, 16, &[0, -32768, 32767, 5]);
        assert_eq!(
            values(&pcm("a.wav", &path, 16_000).unwrap()),
            [0, -32768, 32767, 5]
        );
    }

    #[test]
    fn stereo_is_averaged_and_other_depths_are_scaled() {
        let (_dir, path) = wav(16_000, 2, 16, &[100, 200, -4, 4]);
        assert_eq!(values(&pcm("a.wav", &path, 16_000).unwrap()), [150, 0]);
        let (_dir, path) = wav(16_000, 1, 24, &[256 * 77, -256 * 3]);
        assert_eq!(values(&pcm("a.wav", &path, 16_000).unwrap()), [77, -3]);
    }

    #[test]
    fn a_tone_keeps_its_pitch_and_level_when_resampled() {
        let tone = |rate: f64, n: usize| -> Vec<i32> {
            let sample = |i: usize| {
                (8000.0 * (2.0 * std::f64::consts::PI * 440.0 * i as f64 / rate).sin()) as i32
            };
            (0..n).map(sample).collect()
        };
        let (_dir, path) = wav(48_000, 1, 16, &tone(48_000.0, 48_000));
        let found = values(&pcm("a.wav", &path, 16_000).unwrap());
        assert!((15_990..=16_010).contains(&found.len()), "{}", found.len());
        let middle = &found[1000..15_000];
        let loudest = middle.iter().map(|s| s.unsigned_abs()).max().unwrap();
        assert!((7_950..=8_050).contains(&loudest), "{loudest}");
        let crossings = middle
            .windows(2)
            .filter(|w| (w[0] < 0) != (w[1] < 0))
            .count();
        assert!((768..=772).contains(&crossings), "{crossings} for 770");
    }

    #[test]
    fn a_damaged_flac_is_an_error_that_names_it() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/nano/eval/speech");
        let bytes = std::fs::read(root.join("vm-messages.flac")).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.flac");
        let mut flipped = bytes.clone();
        flipped[bytes.len() / 2] ^= 0x10;
        for damaged in [
            Vec::new(),
            bytes[..20].to_vec(),
            bytes[..bytes.len() / 2].to_vec(),
            flipped,
        ] {
            std::fs::write(&path, damaged).unwrap();
            let error = pcm("x.flac", &path, 16_000).unwrap_err().to_string();
            assert!(
                error.contains("`x.flac` is not a valid FLAC file"),
                "{error}"
            );
        }
    }
}
