use std::io::Read;

use cpipe_engine::spec::Unpack;
use flate2::read::MultiGzDecoder;
use lzma_rust2::XzReader;

use super::UnpackError;

/// The most KiB that the dictionary of an xz file may take.
const XZ_MEMORY: u32 = 1 << 20;

/// What is inside the outer compression, if there is one.
pub(super) fn decoder<'r>(
    kind: Unpack,
    reader: impl Read + 'r,
    name: &str,
) -> Result<Box<dyn Read + 'r>, UnpackError> {
    Ok(match kind {
        Unpack::Gz | Unpack::TarGz => Box::new(MultiGzDecoder::new(reader)),
        Unpack::Xz | Unpack::TarXz => Box::new(XzReader::new_mem_limit(reader, true, XZ_MEMORY)),
        Unpack::Zst | Unpack::TarZst => {
            let decoder = zstd::Decoder::new(reader).map_err(|e| UnpackError::Damaged {
                archive: name.to_owned(),
                reason: e.to_string(),
            })?;
            Box::new(decoder)
        }
        Unpack::None | Unpack::Tar | Unpack::Zip => Box::new(reader),
    })
}
