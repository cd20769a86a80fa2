use std::collections::{BTreeMap, HashMap};

use super::value::{Global, Storage, Tensor};

/// Opcodes that could call something, for the message; none of them is known here.
const DANGEROUS: [(u8, &str); 8] = [
    (b'i', "INST"),
    (b'o', "OBJ"),
    (0x81, "NEWOBJ"),
    (0x82, "EXT1"),
    (0x83, "EXT2"),
    (0x84, "EXT4"),
    (0x92, "NEWOBJ_EX"),
    (0x93, "STACK_GLOBAL"),
];
/// Longer texts than this name nothing that is known.
const LONGEST_TEXT: usize = 1024;
/// More than any tensor has.
const MOST_DIMENSIONS: usize = 16;

/// Something on the stack. What holds others is a place in a list of the machine's, so that nothing
/// is nested or copied twice: memory and time stay in proportion to the pickle's size.
#[derive(Clone, Copy, Debug)]
enum Value<'p> {
    Mark,
    None,
    Bool,
    Int(i64),
    Text(&'p str),
    Global(Global),
    Tuple(usize),
    Dict(usize),
    Storage(usize),
    Tensor(usize),
}

impl Value<'_> {
    /// What it is, for messages.
    fn kind(self) -> &'static str {
        match self {
            Self::Mark => "a mark",
            Self::None => "nothing",
            Self::Bool => "a truth value",
            Self::Int(_) => "a number",
            Self::Text(_) => "a text",
            Self::Global(_) => "a function or type",
            Self::Tuple(_) => "a tuple",
            Self::Dict(_) => "a dictionary",
            Self::Storage(_) => "a storage",
            Self::Tensor(_) => "a tensor",
        }
    }
}

/// The tensors of a pickled state dict, in name order.
///
/// # Errors
/// What is wrong with the pickle, or what it asks for that no state dict needs.
pub(super) fn state_dict(pickle: &[u8]) -> Result<BTreeMap<&str, Tensor<'_>>, String> {
    let mut machine = Machine {
        pickle,
        ..Machine::default()
    };
    let top = machine.run()?;
    let Value::Dict(top) = top else {
        return Err("its pickle is no dictionary of tensors".into());
    };
    let entries = std::mem::take(&mut machine.dicts[top]);
    let entry = |(name, value)| match (name, value) {
        (Value::Text(name), Value::Tensor(at)) => Ok((name, machine.tensors[at].clone())),
        (Value::Text(name), _) => Err(format!("its entry `{name}` is no tensor")),
        _ => Err("an entry of its pickle has no name".into()),
    };
    entries.into_iter().map(entry).collect()
}

/// The stack machine that pickles are programs of.
#[derive(Default)]
struct Machine<'p> {
    pickle: &'p [u8],
    at: usize,
    stack: Vec<Value<'p>>,
    memo: HashMap<u32, Value<'p>>,
    tuples: Vec<Vec<Value<'p>>>,
    dicts: Vec<Vec<(Value<'p>, Value<'p>)>>,
    storages: Vec<Storage<'p>>,
    tensors: Vec<Tensor<'p>>,
}

type Done = Result<(), String>;

impl<'p> Machine<'p> {
    /// Runs until the end; what is on top then.
    fn run(&mut self) -> Result<Value<'p>, String> {
        loop {
            let (at, [opcode]) = (self.at, self.take()?);
            if opcode == b'.' {
                return self.pop();
            }
            self.step(opcode)
                .map_err(|reason| format!("at byte {at} of its pickle: {reason}"))?;
        }
    }

    fn step(&mut self, opcode: u8) -> Done {
        match opcode {
            0x80 => return self.protocol(),
            b'(' => self.stack.push(Value::Mark),
            b'N' => self.stack.push(Value::None),
            0x88 | 0x89 => self.stack.push(Value::Bool),
            b'J' => {
                let value = i32::from_le_bytes(self.take()?);
                self.stack.push(Value::Int(value.into()));
            }
            b'K' => {
                let [value] = self.take()?;
                self.stack.push(Value::Int(value.into()));
            }
            b'M' => {
                let value = u16::from_le_bytes(self.take()?);
                self.stack.push(Value::Int(value.into()));
            }
            0x8a => return self.long(),
            b'X' => return self.text(),
            b')' => self.tuple(Vec::new()),
            0x85..=0x87 => return self.short_tuple(usize::from(opcode - 0x84)),
            b't' => {
                let items = self.pop_to_mark()?;
                self.tuple(items);
            }
            b'}' => self.dict(),
            b's' => return self.set_item(),
            b'u' => return self.set_items(),
            b'b' => return self.build(),
            b'q' | b'r' | b'h' | b'j' => return self.memo(opcode),
            b'c' => return self.global(),
            b'Q' => return self.storage(),
            b'R' => return self.reduce(),
            other => return Err(unknown(other)),
        }
        Ok(())
    }

    /// The next `N` bytes.
    fn take<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let rest = &self.pickle[self.at..];
        let bytes = rest.first_chunk().ok_or("its pickle is cut off")?;
        self.at += N;
        Ok(*bytes)
    }

    fn take_slice(&mut self, count: usize) -> Result<&'p [u8], String> {
        let rest = &self.pickle[self.at..];
        let bytes = rest.get(..count).ok_or("its pickle is cut off")?;
        self.at += count;
        Ok(bytes)
    }

    fn pop(&mut self) -> Result<Value<'p>, String> {
        self.stack.pop().ok_or_else(|| "the stack is empty".into())
    }

    fn pop_to_mark(&mut self) -> Result<Vec<Value<'p>>, String> {
        let mark = self.stack.iter().rposition(|v| matches!(v, Value::Mark));
        let items = self.stack.split_off(mark.ok_or("there is no mark")? + 1);
        self.stack.pop();
        Ok(items)
    }

    fn pop_tuple(&mut self) -> Result<Vec<Value<'p>>, String> {
        match self.pop()? {
            Value::Tuple(at) => Ok(self.tuples[at].clone()),
            other => Err(format!("expected a tuple, found {}", other.kind())),
        }
    }

    fn protocol(&mut self) -> Done {
        match self.take()? {
            [2] => Ok(()),
            [other] => Err(format!(
                "it is a pickle of protocol {other}, expected 2, which torch.save writes"
            )),
        }
    }

    /// A little-endian integer of so many bytes.
    fn long(&mut self) -> Done {
        let [count] = self.take()?;
        let bytes = self.take_slice(count.into())?;
        if bytes.len() > 8 {
            return Err("an integer has more than 64 bits".into());
        }
        let negative = bytes.last().is_some_and(|byte| byte & 0x80 != 0);
        let mut whole = [if negative { 0xff } else { 0 }; 8];
        whole[..bytes.len()].copy_from_slice(bytes);
        self.stack.push(Value::Int(i64::from_le_bytes(whole)));
        Ok(())
    }

    fn text(&mut self) -> Done {
        let count = u32::from_le_bytes(self.take()?) as usize;
        let bytes = self.take_slice(count)?;
        if count > LONGEST_TEXT {
            return Err(format!("a text of {count} bytes names nothing"));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| "a text is not UTF-8")?;
        self.stack.push(Value::Text(text));
        Ok(())
    }

    fn tuple(&mut self, items: Vec<Value<'p>>) {
        self.stack.push(Value::Tuple(self.tuples.len()));
        self.tuples.push(items);
    }

    fn short_tuple(&mut self, count: usize) -> Done {
        let first = self.stack.len().checked_sub(count);
        let items = self.stack.split_off(first.ok_or("the stack is empty")?);
        self.tuple(items);
        Ok(())
    }

    fn dict(&mut self) {
        self.stack.push(Value::Dict(self.dicts.len()));
        self.dicts.push(Vec::new());
    }

    /// The dictionary on top, which stays there.
    fn top_dict(&self) -> Result<usize, String> {
        match self.stack.last() {
            Some(Value::Dict(at)) => Ok(*at),
            Some(other) => Err(format!("expected a dictionary, found {}", other.kind())),
            None => Err("the stack is empty".into()),
        }
    }

    fn set_item(&mut self) -> Done {
        let (value, name) = (self.pop()?, self.pop()?);
        let dict = self.top_dict()?;
        self.dicts[dict].push((name, value));
        Ok(())
    }

    fn set_items(&mut self) -> Done {
        let items = self.pop_to_mark()?;
        let dict = self.top_dict()?;
        let (pairs, rest) = items.as_chunks::<2>();
        if !rest.is_empty() {
            return Err("a name has no value".into());
        }
        self.dicts[dict].extend(pairs.iter().map(|[name, value]| (*name, *value)));
        Ok(())
    }

    /// Attributes of a dictionary, such as `_metadata`: of no use here.
    fn build(&mut self) -> Done {
        self.pop()?;
        self.top_dict().map(drop)
    }

    fn memo(&mut self, opcode: u8) -> Done {
        let index = match opcode {
            b'q' | b'h' => self.take::<1>()?[0].into(),
            _ => u32::from_le_bytes(self.take()?),
        };
        if matches!(opcode, b'q' | b'r') {
            let value = *self.stack.last().ok_or("the stack is empty")?;
            self.memo.insert(index, value);
        } else {
            let value = self
                .memo
                .get(&index)
                .ok_or("what it refers to is not there")?;
            self.stack.push(*value);
        }
        Ok(())
    }

    fn line(&mut self) -> Result<&'p str, String> {
        let rest = &self.pickle[self.at..];
        let end = rest.iter().take(LONGEST_TEXT).position(|b| *b == b'\n');
        let bytes = self.take_slice(end.ok_or("it names something with a name without end")?)?;
        self.at += 1;
        std::str::from_utf8(bytes).map_err(|_| "a name is not UTF-8".into())
    }

    fn global(&mut self) -> Done {
        let (module, name) = (self.line()?, self.line()?);
        let global = Global::find(module, name).ok_or_else(|| {
            format!(
                "it wants `{module}.{name}`, which weights do not need: nothing of it was run, and \
                 the file should not be trusted"
            )
        })?;
        self.stack.push(Value::Global(global));
        Ok(())
    }

    /// `("storage", type, key, device, elements)`.
    fn storage(&mut self) -> Done {
        let parts = self.pop_tuple()?;
        let [
            Value::Text("storage"),
            Value::Global(Global::Storage(element)),
            Value::Text(key),
            Value::Text(_),
            Value::Int(count),
        ] = parts[..]
        else {
            return Err("it refers to something that is no storage".into());
        };
        let count = u64::try_from(count).map_err(|_| "a storage has fewer than 0 elements")?;
        self.stack.push(Value::Storage(self.storages.len()));
        self.storages.push(Storage {
            element,
            key,
            count,
        });
        Ok(())
    }

    fn reduce(&mut self) -> Done {
        let (arguments, callable) = (self.pop_tuple()?, self.pop()?);
        match (callable, arguments.as_slice()) {
            (Value::Global(Global::OrderedDict), []) => self.dict(),
            (Value::Global(Global::RebuildTensor), arguments) => self.tensor(arguments)?,
            (
                Value::Global(Global::RebuildParameter),
                [tensor @ Value::Tensor(_), Value::Bool, Value::Dict(_)],
            ) => self.stack.push(*tensor),
            (callable, arguments) => {
                let (kind, count) = (callable.kind(), arguments.len());
                return Err(format!("it calls {kind} with {count} arguments"));
            }
        }
        Ok(())
    }

    /// `(storage, offset, shape, strides, requires_grad, hooks)`, and maybe a dictionary.
    fn tensor(&mut self, arguments: &[Value<'p>]) -> Done {
        let &[
            Value::Storage(storage),
            offset,
            Value::Tuple(shape),
            Value::Tuple(strides),
            Value::Bool,
            Value::Dict(_),
        ] = arguments.get(..6).unwrap_or_default()
        else {
            return Err("a tensor is made of something else than a storage".into());
        };
        let tensor = Tensor {
            storage: self.storages[storage],
            offset: count(offset)?,
            shape: self.counts(shape)?,
            strides: self.counts(strides)?,
        };
        if arguments.len() > 7 || tensor.shape.len() != tensor.strides.len() {
            return Err("a tensor's shape does not go with its strides".into());
        }
        self.stack.push(Value::Tensor(self.tensors.len()));
        self.tensors.push(tensor);
        Ok(())
    }

    fn counts(&self, tuple: usize) -> Result<Vec<u64>, String> {
        let counts = &self.tuples[tuple];
        if counts.len() > MOST_DIMENSIONS {
            return Err(format!("a tensor has {} dimensions", counts.len()));
        }
        counts.iter().map(|v| count(*v)).collect()
    }
}

fn count(value: Value<'_>) -> Result<u64, String> {
    match value {
        Value::Int(n) if n >= 0 => Ok(n as u64),
        Value::Int(n) => Err(format!("{n} is no count")),
        other => Err(format!("expected a count, found {}", other.kind())),
    }
}

fn unknown(opcode: u8) -> String {
    let dangerous = DANGEROUS.iter().find(|(code, _)| *code == opcode);
    let name = dangerous.map_or(String::new(), |(_, name)| format!(" ({name})"));
    format!("opcode {opcode:#04x}{name} is none that weights need; nothing of it was run")
}
