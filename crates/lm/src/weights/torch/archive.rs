use std::collections::BTreeMap;
use std::io::Cursor;
use std::ops::Range;

use zip::read::ZipFile;
use zip::{CompressionMethod, ZipArchive};

const PICKLE: &str = "/data.pkl";
/// More bytes of pickle than any model has: a tensor takes about 200.
const MOST_PICKLE: usize = 8 << 20;

/// The records of a file, in place.
pub(super) struct Archive<'m> {
    /// What stands before every name, with the slash.
    prefix: String,
    records: BTreeMap<String, Range<usize>>,
    pickle: &'m [u8],
}

impl<'m> Archive<'m> {
    pub(super) fn open(bytes: &'m [u8]) -> Result<Self, String> {
        let records =
            records(bytes).map_err(|reason| format!("not a whole file of torch.save: {reason}"))?;
        let mut pickles = records.keys().filter_map(|name| {
            let folder = name.strip_suffix(PICKLE)?;
            (!folder.contains('/')).then(|| format!("{folder}/"))
        });
        let (Some(prefix), None) = (pickles.next(), pickles.next()) else {
            return Err("not a file of torch.save: it is an archive without one data.pkl".into());
        };
        let pickle = &bytes[records[&format!("{prefix}data.pkl")].clone()];
        if pickle.len() > MOST_PICKLE {
            let size = pickle.len();
            return Err(format!(
                "its data.pkl of {size} bytes is no list of tensors"
            ));
        }
        let order = records.get(&format!("{prefix}byteorder"));
        if order.is_some_and(|at| &bytes[at.clone()] != b"little") {
            return Err("it was written on a big-endian machine".into());
        }
        Ok(Self {
            prefix,
            records,
            pickle,
        })
    }

    pub(super) fn pickle(&self) -> &'m [u8] {
        self.pickle
    }

    /// Where the bytes of a storage lie.
    pub(super) fn storage(&self, key: &str) -> Result<Range<usize>, String> {
        let found = self.records.get(&format!("{}data/{key}", self.prefix));
        let found = found.ok_or_else(|| format!("storage `{key}` is not in the file"))?;
        Ok(found.clone())
    }
}

/// Name → place of every record; all of them lie inside the file.
fn records(bytes: &[u8]) -> Result<BTreeMap<String, Range<usize>>, String> {
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(|e| e.to_string())?;
    let mut records = BTreeMap::new();
    for index in 0..archive.len() {
        let entry = archive.by_index_raw(index).map_err(|e| e.to_string())?;
        let name = entry.name().map_err(|e| e.to_string())?.into_owned();
        let place = place(&entry, bytes.len()).map_err(|reason| format!("`{name}` {reason}"))?;
        records.insert(name, place);
    }
    Ok(records)
}

fn place(entry: &ZipFile<'_, Cursor<&[u8]>>, size: usize) -> Result<Range<usize>, &'static str> {
    if entry.encrypted() || entry.compression() != CompressionMethod::Stored {
        return Err("is compressed or encrypted, which torch.save never does");
    }
    let start = entry.data_start().ok_or("has no place")?;
    let end = start.checked_add(entry.size());
    let end = end.filter(|end| *end <= size as u64).ok_or("is cut off")?;
    Ok(start as usize..end as usize)
}
