//! Samples that stand one after the other without compression.

use symphonia::core::audio::Channels;
use symphonia::core::codecs::audio::well_known as codec;
use symphonia::core::codecs::audio::{
    AudioCodecId, AudioCodecParameters, AudioDecoder, AudioDecoderOptions,
};
use symphonia::core::packet::Packet;
use symphonia::core::units::{Duration, Timestamp};
use symphonia::default::codecs::PcmDecoder;

use super::convert::Mono;
use crate::error::CorpusError;
use crate::named::Named;

/// Frames that are decoded at once.
const BLOCK: usize = 4096;

/// What a sample is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Signed,
    Unsigned,
    Float,
    ALaw,
    MuLaw,
}

/// Sound without compression, as a container describes it.
pub(super) struct Plain<'b> {
    pub(super) kind: Kind,
    /// Bytes of a sample.
    pub(super) width: usize,
    pub(super) big_endian: bool,
    pub(super) rate: u32,
    pub(super) channels: u16,
    pub(super) data: &'b [u8],
}

impl Plain<'_> {
    /// Bytes of a frame: a sample of each channel.
    pub(super) fn frame(&self) -> usize {
        self.width * usize::from(self.channels)
    }

    /// All samples; a frame that is not whole at the end is dropped.
    pub(super) fn decode<'n>(&self, named: Named<'n>) -> Result<Mono<'n>, CorpusError> {
        if self.channels == 0 || self.width == 0 {
            return Err(named.damaged("it says that it has no channels or samples without bits"));
        }
        let failed = |e: symphonia::core::errors::Error| named.damaged(e);
        let mut mono = Mono::new(named, self.rate)?;
        let mut decoder = self.decoder(named)?;
        for block in self.data.chunks(BLOCK * self.frame()) {
            let packet = Packet::new(0, Timestamp::ZERO, Duration::ZERO, block);
            mono.add(&decoder.decode(&packet).map_err(failed)?)?;
        }
        Ok(mono)
    }

    fn decoder(&self, named: Named<'_>) -> Result<PcmDecoder, CorpusError> {
        let codec = self.codec().ok_or_else(|| {
            let bits = self.width * 8;
            named.unread(format!("{:?} samples of {bits} bits", self.kind).to_lowercase())
        })?;
        let mut parameters = AudioCodecParameters::new();
        parameters
            .for_codec(codec)
            .with_sample_rate(self.rate)
            .with_channels(Channels::Discrete(self.channels))
            .with_max_frames_per_packet(BLOCK as u64);
        PcmDecoder::try_new(&parameters, &AudioDecoderOptions::default())
            .map_err(|e| named.damaged(e))
    }

    fn codec(&self) -> Option<AudioCodecId> {
        Some(match (self.kind, self.width, self.big_endian) {
            (Kind::Signed, 1, _) => codec::CODEC_ID_PCM_S8,
            (Kind::Signed, 2, false) => codec::CODEC_ID_PCM_S16LE,
            (Kind::Signed, 2, true) => codec::CODEC_ID_PCM_S16BE,
            (Kind::Signed, 3, false) => codec::CODEC_ID_PCM_S24LE,
            (Kind::Signed, 3, true) => codec::CODEC_ID_PCM_S24BE,
            (Kind::Signed, 4, false) => codec::CODEC_ID_PCM_S32LE,
            (Kind::Signed, 4, true) => codec::CODEC_ID_PCM_S32BE,
            (Kind::Unsigned, 1, _) => codec::CODEC_ID_PCM_U8,
            (Kind::Float, 4, false) => codec::CODEC_ID_PCM_F32LE,
            (Kind::Float, 4, true) => codec::CODEC_ID_PCM_F32BE,
            (Kind::Float, 8, false) => codec::CODEC_ID_PCM_F64LE,
            (Kind::Float, 8, true) => codec::CODEC_ID_PCM_F64BE,
            (Kind::ALaw, 1, _) => codec::CODEC_ID_PCM_ALAW,
            (Kind::MuLaw, 1, _) => codec::CODEC_ID_PCM_MULAW,
            _ => return None,
        })
    }
}
