//! Rows of an SQLite file, harmed at random by whoever can write it: bits flipped, bytes cut off or
//! added, two rows spliced, columns swapped, types changed. `LACRE_MUTATIONS` says how many for
//! each suite; the number of one that fails brings it back.

use crate::world::{FRESH, Kind, World, get};
use lacre::{Answer, OnTamper, RequestBody, Suite, wait};
use proptest::prelude::Rng;
use proptest::test_runner::{RngAlgorithm, TestRng};
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

/// Enough for every kind of harm to come up often.
const DEFAULT_MUTATIONS: u64 = 150;
/// Entries, of which the last is so large that it lies in chunks.
const ENTRIES: u64 = 6;

#[test]
fn no_random_mutation_of_rows_is_served() {
    let count = std::env::var("LACRE_MUTATIONS").map_or(DEFAULT_MUTATIONS, |text| text.parse().unwrap());
    for suite in Suite::ALL {
        let victim = Victim::new(suite);
        let mut refused = 0;
        for number in 0..count {
            let mut dice = Dice(TestRng::from_seed(RngAlgorithm::XorShift, &seed(number)));
            let harmed = victim.harm(&mut dice);
            refused += u64::from(victim.refuses(number));
            harmed.write(&victim.attacker, &harmed.rows);
        }
        // Some harm changes hints alone, or what was there to what was there.
        assert!(refused * 2 > count, "{suite:?}: only {refused} of {count} did any harm");
        println!("{suite:?}: {refused} of {count} mutations refused, the rest harmless, none served");
    }
}

fn seed(number: u64) -> [u8; 16] {
    let mut seed = [1; 16];
    seed[..8].copy_from_slice(&number.to_be_bytes());
    seed
}

struct Dice(TestRng);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.0.next_u64() % bound as u64).unwrap()
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.0.fill_bytes(&mut bytes);
        bytes
    }
}

/// A table's rows, as they were written.
struct Table {
    name: &'static str,
    columns: &'static [&'static str],
    rows: Vec<Vec<Value>>,
}

impl Table {
    fn read(file: &Connection, name: &'static str, columns: &'static [&'static str]) -> Self {
        let mut select = file.prepare(&format!("SELECT {} FROM {name}", columns.join(", "))).unwrap();
        let rows = select.query_map([], |row| (0..columns.len()).map(|column| row.get(column)).collect());
        Self { name, columns, rows: rows.unwrap().collect::<Result<_, _>>().unwrap() }
    }

    fn write(&self, file: &Connection, rows: &[Vec<Value>]) {
        file.execute(&format!("DELETE FROM {}", self.name), []).unwrap();
        let places = vec!["?"; self.columns.len()].join(", ");
        let insert = format!("INSERT OR REPLACE INTO {} VALUES ({places})", self.name);
        let mut insert = file.prepare_cached(&insert).unwrap();
        for row in rows {
            insert.execute(params_from_iter(row)).unwrap();
        }
    }
}

struct Victim {
    world: World,
    attacker: Connection,
    tables: [Table; 2],
}

impl Victim {
    fn new(suite: Suite) -> Self {
        let world = World::new(Kind::Sqlite, |builder| builder.suite(suite).on_tamper(OnTamper::Raise));
        for entry in 0..ENTRIES {
            world.try_fetch(get(&format!("/{entry}")), FRESH, &Self::body(entry)).unwrap();
        }
        let attacker = Connection::open(world.medium.file()).unwrap();
        attacker.pragma_update(None, "synchronous", "OFF").unwrap();
        let tables = [
            Table::read(&attacker, "slot", &["id", "key", "body", "chunks", "expires", "written", "sealed"]),
            Table::read(&attacker, "chunk", &["id", "body", "n", "written", "sealed"]),
        ];
        assert!(tables[0].rows.len() as u64 == ENTRIES && tables[1].rows.len() == 2);
        Self { world, attacker, tables }
    }

    fn body(entry: u64) -> Vec<u8> {
        vec![b'0' + entry as u8; if entry + 1 == ENTRIES { 300_000 } else { 40 }]
    }

    /// Harms a row, and returns its table, to be written again.
    fn harm(&self, dice: &mut Dice) -> &Table {
        let table = &self.tables[usize::from(dice.below(4) == 0)];
        let mut rows = table.rows.clone();
        let (place, other) = (dice.below(rows.len()), dice.below(rows.len()));
        let column = dice.below(table.columns.len());
        // Mostly the sealed bytes.
        let column = if dice.below(3) == 0 { column } else { table.columns.len() - 1 };
        let foreign = rows[other][column].clone();
        let row = &mut rows[place];
        match (dice.below(6), &mut row[column]) {
            (0, Value::Blob(bytes)) if !bytes.is_empty() => {
                let at = dice.below(bytes.len());
                bytes[at] ^= 1 << dice.below(8);
            }
            (0, Value::Integer(number)) => *number ^= 1 << dice.below(63),
            (1, Value::Blob(bytes)) if !bytes.is_empty() => bytes.truncate(dice.below(bytes.len())),
            (2, Value::Blob(bytes)) => {
                let more = 1 + dice.below(64);
                bytes.extend(dice.bytes(more));
            }
            (3, Value::Blob(bytes)) => {
                let Value::Blob(foreign) = foreign else { return table };
                let (from, to) = (dice.below(bytes.len() + 1), dice.below(foreign.len() + 1));
                bytes.truncate(from);
                bytes.extend(&foreign[to..]);
            }
            (4, _) => row.swap(column, dice.below(table.columns.len())),
            (5, value) => {
                *value = match dice.below(4) {
                    0 => Value::Text("text".into()),
                    1 => Value::Integer(dice.below(1 << 40) as i64),
                    2 => Value::Real(1.5),
                    _ => Value::Blob(dice.bytes(200)),
                };
            }
            (_, value) => *value = foreign,
        }
        // The number of a row has to be one; whatever else it was to become, it keeps.
        if !matches!(rows[place][0], Value::Integer(_)) {
            rows[place][0] = table.rows[place][0].clone();
        }
        table.write(&self.attacker, &rows);
        table
    }

    /// Asks for everything. What is served has to be what was stored; whether anything was not.
    fn refuses(&self, number: u64) -> bool {
        let mut refused = false;
        for entry in 0..ENTRIES {
            let request = get(&format!("/{entry}")).into_parts().0;
            let served = match wait(self.world.cache.ask(request, RequestBody::Seen(b""))) {
                Ok(Answer::Hit(reply)) => wait(reply.response.into_body().bytes()).ok(),
                _ => None,
            };
            match served {
                Some(body) => assert!(body[..] == Self::body(entry), "mutation {number} was served"),
                None => refused = true,
            }
        }
        refused
    }
}
