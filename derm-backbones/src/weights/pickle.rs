//! What a pickle would import, found without running it.

use std::collections::HashMap;
use std::io::{self, BufRead};

/// How a pickle cannot be walked.
pub(super) enum Unreadable {
    /// Truncated, or the file itself fails.
    Io(io::Error),
    /// A byte that is no opcode, or an operand that is no number.
    Malformed(String),
}

impl From<io::Error> for Unreadable {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Stands for a name that the pickle puts together where it cannot be read off.
const COMPUTED: &str = "a name computed in the pickle";

/// Longest operand that is kept or skipped: no name, key or number of a checkpoint comes near.
const LONGEST: u64 = 1 << 30;

/// Walks one pickle up to its end and gives the first thing that it would import and that is no part of a table of
/// weights. Nothing is imported, called or built.
///
/// # Source
/// The opcodes are those of Python's `pickletools`, protocols 0 to 5.
pub(super) fn first_code(reader: &mut impl BufRead) -> Result<Option<String>, Unreadable> {
    let mut walker = Walker { reader, memo: HashMap::new(), strings: Vec::new(), code: None };
    while walker.code.is_none() && walker.step()? {}
    Ok(walker.code)
}

/// Whether `module.name` only rebuilds tensors, containers and plain values.
fn is_data(module: &str, name: &str) -> bool {
    match module {
        "collections" => ["OrderedDict", "defaultdict", "Counter"].contains(&name),
        "torch._utils" => [
            "_rebuild_tensor",
            "_rebuild_tensor_v2",
            "_rebuild_tensor_v3",
            "_rebuild_parameter",
            "_rebuild_parameter_with_state",
        ]
        .contains(&name),
        "torch._tensor" => name == "_rebuild_from_type_v2",
        "torch.nn.parameter" => ["Parameter", "Buffer"].contains(&name),
        "torch.storage" => ["UntypedStorage", "TypedStorage"].contains(&name),
        "torch" => {
            let types = [
                "Tensor", "Size", "device", "float32", "float64", "float16", "bfloat16", "int64", "int32",
                "int16", "int8", "uint8", "bool", "float", "double", "half", "long", "int", "short",
            ];
            (name.ends_with("Storage") && !name.contains('.')) || types.contains(&name)
        }
        "builtins" | "__builtin__" => [
            "set",
            "frozenset",
            "list",
            "dict",
            "tuple",
            "int",
            "float",
            "str",
            "bool",
            "bytes",
            "bytearray",
            "complex",
        ]
        .contains(&name),
        // training options beside the weights
        "argparse" => name == "Namespace",
        "_codecs" => name == "encode",
        "numpy" => ["dtype", "ndarray"].contains(&name),
        "numpy.core.multiarray" | "numpy._core.multiarray" => ["scalar", "_reconstruct"].contains(&name),
        _ => false,
    }
}

struct Walker<'a, R> {
    reader: &'a mut R,
    /// Strings under the numbers by which the pickle recalls them; other values are `None`.
    memo: HashMap<usize, Option<String>>,
    /// The strings pushed last, with nothing else between.
    strings: Vec<String>,
    code: Option<String>,
}

impl<R: BufRead> Walker<'_, R> {
    /// One opcode; false after the last one.
    fn step(&mut self) -> Result<bool, Unreadable> {
        let opcode = self.number(1)? as u8;
        match opcode {
            // strings: a line, or bytes behind their length
            b'S' | b'V' => {
                let line = self.line()?;
                let quoted = line.trim_matches(|quote| quote == '\'' || quote == '"').to_owned();
                self.strings.push(if opcode == b'S' { quoted } else { line });
            }
            b'U' | 0x8c => self.string(1)?,
            b'T' | b'X' => self.string(4)?,
            0x8d => self.string(8)?,
            // the memo
            b'p' => {
                let index = self.decimal()?;
                self.memoize(index);
            }
            b'q' => {
                let index = self.number(1)?;
                self.memoize(index as usize);
            }
            b'r' => {
                let index = self.number(4)?;
                self.memoize(index as usize);
            }
            0x94 => self.memoize(self.memo.len()),
            b'g' => {
                let index = self.decimal()?;
                self.recall(index);
            }
            b'h' => {
                let index = self.number(1)?;
                self.recall(index as usize);
            }
            b'j' => {
                let index = self.number(4)?;
                self.recall(index as usize);
            }
            // imports
            b'c' | b'i' => {
                let (module, name) = (self.line()?, self.line()?);
                self.import(&module, &name);
            }
            0x93 => match self.strings.as_slice() {
                [.., module, name] => {
                    let (module, name) = (module.clone(), name.clone());
                    self.import(&module, &name);
                }
                _ => self.refuse(COMPUTED.to_owned()),
            },
            // the extension registry imports by number
            0x82..=0x84 => {
                self.number([1, 2, 4][usize::from(opcode - 0x82)])?;
                self.refuse("an entry of the extension registry".to_owned());
            }
            _ => {
                self.operand(opcode)?;
                self.strings.clear();
                return Ok(opcode != b'.');
            }
        }
        Ok(true)
    }

    /// Passes over the operand of an opcode that neither pushes a string nor imports.
    fn operand(&mut self, opcode: u8) -> Result<(), Unreadable> {
        match opcode {
            b'I' | b'L' | b'F' | b'P' => self.line().map(drop),
            b'K' | 0x80 => self.number(1).map(drop),
            b'M' => self.number(2).map(drop),
            b'J' => self.number(4).map(drop),
            b'G' | 0x95 => self.number(8).map(drop),
            b'C' | 0x8a => self.bytes(1).map(drop),
            b'B' | 0x8b => self.bytes(4).map(drop),
            0x8e | 0x96 => self.bytes(8).map(drop),
            b'('
            | b'.'
            | b'0'
            | b'1'
            | b'2'
            | b'N'
            | b'Q'
            | b'R'
            | b'b'
            | b'd'
            | b'}'
            | b'a'
            | b'e'
            | b'l'
            | b']'
            | b'o'
            | b's'
            | b't'
            | b')'
            | b'u'
            | 0x81
            | 0x85..=0x89
            | 0x8f..=0x92
            | 0x97
            | 0x98 => Ok(()),
            unknown => Err(Unreadable::Malformed(format!("0x{unknown:02x} is no pickle opcode"))),
        }
    }

    fn import(&mut self, module: &str, name: &str) {
        self.strings.clear();
        if !is_data(module, name) {
            self.refuse(format!("{module}.{name}"));
        }
    }

    fn refuse(&mut self, name: String) {
        self.strings.clear();
        self.code.get_or_insert(name);
    }

    fn memoize(&mut self, index: usize) {
        self.memo.insert(index, self.strings.last().cloned());
    }

    fn recall(&mut self, index: usize) {
        match self.memo.get(&index) {
            Some(Some(string)) => self.strings.push(string.clone()),
            _ => self.strings.clear(),
        }
    }

    fn string(&mut self, width: usize) -> Result<(), Unreadable> {
        let bytes = self.bytes(width)?;
        self.strings.push(String::from_utf8_lossy(&bytes).into_owned());
        Ok(())
    }

    /// Bytes behind a length of `width` bytes.
    fn bytes(&mut self, width: usize) -> Result<Vec<u8>, Unreadable> {
        let length = self.number(width)?;
        if length > LONGEST {
            return Err(Unreadable::Malformed(format!("an operand of {length} bytes")));
        }
        let mut bytes = Vec::new();
        let read = io::Read::read_to_end(&mut io::Read::take(&mut *self.reader, length), &mut bytes)?;
        if read as u64 == length {
            Ok(bytes)
        } else {
            Err(io::Error::from(io::ErrorKind::UnexpectedEof).into())
        }
    }

    /// A little-endian number of up to 8 bytes.
    fn number(&mut self, width: usize) -> Result<u64, Unreadable> {
        let mut bytes = [0; 8];
        self.reader.read_exact(&mut bytes[..width])?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn line(&mut self) -> Result<String, Unreadable> {
        let mut line = Vec::new();
        io::Read::take(&mut *self.reader, LONGEST).read_until(b'\n', &mut line)?;
        if line.pop() == Some(b'\n') {
            Ok(String::from_utf8_lossy(&line).into_owned())
        } else {
            Err(io::Error::from(io::ErrorKind::UnexpectedEof).into())
        }
    }

    fn decimal(&mut self) -> Result<usize, Unreadable> {
        let line = self.line()?;
        line.trim().parse().map_err(|_| Unreadable::Malformed(format!("`{line}` is no number")))
    }
}
