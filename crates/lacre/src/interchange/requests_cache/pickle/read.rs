//! Reads a pickle with a stack machine that lacks the opcodes to name, build or call objects. It
//! does not recurse, and trusts no length before it has the bytes.

use super::opcode::{self as op, Refused as Opcode};
use crate::interchange::requests_cache::error::{self, Malformed};
use crate::interchange::requests_cache::value::{Assembly, Kind, MAX_BYTES, MAX_ITEMS, Value};
use bytes::Bytes;
use std::collections::HashMap;
use std::str::FromStr;

/// The reason why a pickle is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    Malformed(Malformed),
    Opcode(Opcode),
}

impl From<Malformed> for Refused {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed)
    }
}

/// The value of `pickle`, which must end after it.
pub(crate) fn read(pickle: &Bytes) -> Result<Value, Refused> {
    if pickle.len() > MAX_BYTES {
        return Err(error::too_long().into());
    }
    let mut machine = Machine { rest: pickle.clone(), ..Machine::default() };
    loop {
        match machine.byte()? {
            op::STOP => break,
            opcode => machine.step(opcode)?,
        }
    }
    let root = machine.pop()?;
    if !machine.stack.is_empty() || !machine.marks.is_empty() || !machine.rest.is_empty() {
        return Err(Malformed::new("has more than one value").into());
    }
    Ok(machine.assemble(root)?)
}

/// An index into [`Machine::nodes`]. Values are shared during construction, because the memo may
/// refer to an incomplete one.
type Place = usize;

enum Node {
    Scalar(Value),
    Container(Kind, Vec<Place>),
}

#[derive(Default)]
struct Machine {
    rest: Bytes,
    nodes: Vec<Node>,
    stack: Vec<Place>,
    /// The positions of the open marks on the stack.
    marks: Vec<usize>,
    memo: HashMap<u32, Place>,
    /// The number of pushes onto the stack.
    pushed: usize,
}

impl Machine {
    fn step(&mut self, opcode: u8) -> Result<(), Refused> {
        match opcode {
            op::PROTO => self.protocol()?,
            // It is only a hint for reading ahead.
            op::FRAME => drop(self.array::<8>()?),
            op::MARK => {
                self.count()?;
                self.marks.push(self.stack.len());
            }
            op::NONE => self.scalar(Value::None)?,
            op::NEWTRUE => self.scalar(Value::Bool(true))?,
            op::NEWFALSE => self.scalar(Value::Bool(false))?,
            op::INT | op::LONG | op::FLOAT | op::UNICODE => self.line_of(opcode)?,
            op::BININT | op::BININT1 | op::BININT2 | op::LONG1 | op::BINFLOAT => self.number(opcode)?,
            op::SHORT_BINUNICODE | op::BINUNICODE | op::BINUNICODE8 => self.text(opcode)?,
            op::SHORT_BINBYTES | op::BINBYTES | op::BINBYTES8 => {
                let length = self.length(opcode)?;
                let bytes = self.take(length)?;
                self.scalar(Value::Bytes(bytes))?;
            }
            op::EMPTY_LIST | op::EMPTY_TUPLE => self.container(Kind::List, Vec::new())?,
            op::EMPTY_DICT => self.container(Kind::Dict, Vec::new())?,
            op::LIST | op::TUPLE => {
                let members = self.since_mark()?;
                self.container(Kind::List, members)?;
            }
            op::DICT => {
                let members = self.since_mark()?;
                self.container(Kind::Dict, members)?;
            }
            op::TUPLE1 => self.tuple(1)?,
            op::TUPLE2 => self.tuple(2)?,
            op::TUPLE3 => self.tuple(3)?,
            op::APPEND => {
                let members = self.top(1)?;
                self.extend(Kind::List, members)?;
            }
            op::SETITEM => {
                let members = self.top(2)?;
                self.extend(Kind::Dict, members)?;
            }
            op::APPENDS => {
                let members = self.since_mark()?;
                self.extend(Kind::List, members)?;
            }
            op::SETITEMS => {
                let members = self.since_mark()?;
                self.extend(Kind::Dict, members)?;
            }
            op::MEMOIZE => self.remember(u32::try_from(self.memo.len()).unwrap_or(u32::MAX))?,
            op::PUT | op::BINPUT | op::LONG_BINPUT => {
                let name = self.name(opcode)?;
                self.remember(name)?;
            }
            op::GET | op::BINGET | op::LONG_BINGET => {
                let name = self.name(opcode)?;
                let place = *self.memo.get(&name).ok_or(Malformed::new("names a value that it lacks"))?;
                self.push(place)?;
            }
            refused => return Err(Refused::Opcode(Opcode::of(refused))),
        }
        Ok(())
    }

    fn protocol(&mut self) -> Result<(), Malformed> {
        match self.byte()? {
            0..=5 => Ok(()),
            _ => Err(Malformed::new("is of a protocol that is not known")),
        }
    }

    /// Reads an argument of protocol 0: a line of text.
    fn line_of(&mut self, opcode: u8) -> Result<(), Malformed> {
        let line = self.line()?;
        let value = match (opcode, &line[..]) {
            (op::UNICODE, escaped) => Value::Str(unescaped(escaped)?),
            (op::INT, b"00") => Value::Bool(false),
            (op::INT, b"01") => Value::Bool(true),
            (op::FLOAT, number) => Value::Float(parsed(number)?),
            (_, number) => Value::Int(parsed(number.strip_suffix(b"L").unwrap_or(number))?),
        };
        self.scalar(value)
    }

    fn number(&mut self, opcode: u8) -> Result<(), Malformed> {
        let value = match opcode {
            op::BININT => Value::Int(i32::from_le_bytes(self.array()?).into()),
            op::BININT1 => Value::Int(self.byte()?.into()),
            op::BININT2 => Value::Int(u16::from_le_bytes(self.array()?).into()),
            op::BINFLOAT => Value::Float(f64::from_be_bytes(self.array()?)),
            _ => {
                let length = self.byte()?;
                Value::Int(two_s_complement(&self.take(length.into())?)?)
            }
        };
        self.scalar(value)
    }

    fn text(&mut self, opcode: u8) -> Result<(), Malformed> {
        let length = self.length(opcode)?;
        let bytes = self.take(length)?;
        let text = str::from_utf8(&bytes).map_err(|_| Malformed::new("has text that is not Unicode"))?;
        self.scalar(Value::Str(text.to_owned()))
    }

    fn length(&mut self, opcode: u8) -> Result<usize, Malformed> {
        let length = match opcode {
            op::SHORT_BINUNICODE | op::SHORT_BINBYTES => self.byte()?.into(),
            op::BINUNICODE | op::BINBYTES => u32::from_le_bytes(self.array()?).into(),
            _ => u64::from_le_bytes(self.array()?),
        };
        usize::try_from(length).map_err(|_| error::cut_off())
    }

    /// The memo's name for a value.
    fn name(&mut self, opcode: u8) -> Result<u32, Malformed> {
        match opcode {
            op::PUT | op::GET => parsed(&self.line()?),
            op::BINPUT | op::BINGET => Ok(self.byte()?.into()),
            _ => Ok(u32::from_le_bytes(self.array()?)),
        }
    }

    fn remember(&mut self, name: u32) -> Result<(), Malformed> {
        self.count()?;
        let top = *self.stack.last().ok_or(EMPTY_STACK)?;
        self.memo.insert(name, top);
        Ok(())
    }

    fn scalar(&mut self, value: Value) -> Result<(), Malformed> {
        self.nodes.push(Node::Scalar(value));
        self.push(self.nodes.len() - 1)
    }

    fn container(&mut self, kind: Kind, members: Vec<Place>) -> Result<(), Malformed> {
        self.nodes.push(Node::Container(kind, members));
        self.push(self.nodes.len() - 1)
    }

    fn tuple(&mut self, length: usize) -> Result<(), Malformed> {
        let members = self.top(length)?;
        self.container(Kind::List, members)
    }

    /// Adds members to the list or dict that is now on top.
    fn extend(&mut self, kind: Kind, members: Vec<Place>) -> Result<(), Malformed> {
        let target = *self.stack.last().ok_or(EMPTY_STACK)?;
        match &mut self.nodes[target] {
            Node::Container(found, into) if *found == kind => into.extend(members),
            _ => return Err(Malformed::new("adds to what is no list or dict")),
        }
        Ok(())
    }

    fn push(&mut self, place: Place) -> Result<(), Malformed> {
        self.count()?;
        self.stack.push(place);
        Ok(())
    }

    /// Counts everything that uses memory.
    fn count(&mut self) -> Result<(), Malformed> {
        self.pushed += 1;
        // A value is pushed, stored in the memo and pushed again; each list adds a mark.
        if self.pushed > 4 * MAX_ITEMS { Err(error::too_many()) } else { Ok(()) }
    }

    fn pop(&mut self) -> Result<Place, Malformed> {
        self.top(1).map(|top| top[0])
    }

    /// Pops the `count` topmost values off the stack, but none below a mark.
    fn top(&mut self, count: usize) -> Result<Vec<Place>, Malformed> {
        let floor = self.marks.last().copied().unwrap_or(0);
        match self.stack.len().checked_sub(count) {
            Some(from) if from >= floor => Ok(self.stack.split_off(from)),
            _ => Err(EMPTY_STACK),
        }
    }

    fn since_mark(&mut self) -> Result<Vec<Place>, Malformed> {
        let mark = self.marks.pop().ok_or(EMPTY_STACK)?;
        Ok(self.stack.split_off(mark))
    }

    fn byte(&mut self) -> Result<u8, Malformed> {
        self.array().map(|[byte]| byte)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let bytes = self.take(N)?;
        bytes[..].try_into().map_err(|_| error::cut_off())
    }

    fn take(&mut self, length: usize) -> Result<Bytes, Malformed> {
        if length > self.rest.len() { Err(error::cut_off()) } else { Ok(self.rest.split_to(length)) }
    }

    fn line(&mut self) -> Result<Bytes, Malformed> {
        let end = self.rest.iter().position(|byte| *byte == b'\n').ok_or(error::cut_off())?;
        let line = self.take(end)?;
        self.byte()?;
        Ok(line)
    }

    /// The value at `root`, copied out of the shared nodes. A self-referential value ends at the
    /// limit on depth, and an exponential one at the limit on the number of values.
    fn assemble(&self, root: Place) -> Result<Value, Malformed> {
        let mut assembly = Assembly::default();
        let mut path: Vec<std::slice::Iter<'_, Place>> = Vec::new();
        let mut next = Some(root);
        loop {
            match next.map(|place| &self.nodes[place]) {
                Some(Node::Scalar(value)) => assembly.scalar(value.clone())?,
                Some(Node::Container(kind, members)) => {
                    assembly.open(*kind)?;
                    path.push(members.iter());
                }
                None => {
                    assembly.close()?;
                    path.pop();
                }
            }
            match path.last_mut() {
                Some(members) => next = members.next().copied(),
                None => return assembly.finish(),
            }
        }
    }
}

const EMPTY_STACK: Malformed = Malformed::new("takes values that it did not put");
const NO_NUMBER: Malformed = Malformed::new("has a number that is none");

fn parsed<T: FromStr>(text: &[u8]) -> Result<T, Malformed> {
    str::from_utf8(text).ok().and_then(|text| text.parse().ok()).ok_or(NO_NUMBER)
}

/// An integer of any length, least significant byte first.
fn two_s_complement(bytes: &[u8]) -> Result<i128, Malformed> {
    let negative = bytes.last().is_some_and(|last| last & 0x80 != 0);
    let mut whole = if negative { [0xff; 16] } else { [0; 16] };
    match whole.get_mut(..bytes.len()) {
        Some(low) => low.copy_from_slice(bytes),
        None => return Err(Malformed::new("has an integer of more than 128 bits")),
    }
    Ok(i128::from_le_bytes(whole))
}

/// Python's `raw-unicode-escape`: Latin-1, with `\uXXXX` and `\UXXXXXXXX` for the rest.
fn unescaped(line: &[u8]) -> Result<String, Malformed> {
    let mut text = String::with_capacity(line.len());
    let mut rest = line;
    while let Some((first, tail)) = rest.split_first() {
        let digits = match rest {
            [b'\\', b'u', ..] => 4,
            [b'\\', b'U', ..] => 8,
            _ => {
                text.push(char::from(*first));
                rest = tail;
                continue;
            }
        };
        let escape = rest.get(2..2 + digits).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        let escape = escape.and_then(|digits| str::from_utf8(digits).ok());
        let code = escape.and_then(|digits| u32::from_str_radix(digits, 16).ok());
        text.push(code.and_then(char::from_u32).ok_or(Malformed::new("has text that is not Unicode"))?);
        rest = &rest[2 + digits..];
    }
    Ok(text)
}
