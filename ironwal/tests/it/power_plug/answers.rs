//! Damage, asked about in every way there is: both read strategies, both policies, beside the writer
//! and without one.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use ironwal::{CorruptionPolicy, Environment, Error, Iter, ReadStrategy, ReaderOptions, WalReader};

use super::check::Why;
use super::world::{ENDS, Home, Image, STREAM, World};

const STRATEGIES: [ReadStrategy; 2] = [ReadStrategy::Mmap, ReadStrategy::StandardIo];

/// What is said of an entry: its bytes, or what is wrong with it.
type Answer = Result<Option<Bytes>, String>;

/// All that is said of a stream.
#[derive(Debug, Eq, PartialEq)]
struct Answers {
    range: (u64, u64),
    gets: Vec<Answer>,
    iterated: Vec<Result<(u64, Bytes), String>>,
}

fn told(error: &Error) -> String {
    format!("{:?} in {:?}", Why::of(error), error.path())
}

impl Answers {
    fn collect(
        first: u64,
        next: u64,
        get: impl Fn(u64) -> Result<Option<Bytes>, Error>,
        iter: Iter,
    ) -> Self {
        let gets = (first..=next).map(|seq| get(seq).map_err(|error| told(&error))).collect();
        let iterated = iter
            .map(|item| item.map(|read| (read.seq, read.data)).map_err(|error| told(&error)))
            .collect();
        Self { range: (first, next), gets, iterated }
    }

    fn of_writer(image: &Image, world: &World, strategy: ReadStrategy) -> Option<Self> {
        let home = Home::memory(image);
        let wal = home.open(&world.options.clone().read_strategy(strategy));
        let stream = wal.stream(STREAM).unwrap();
        let (first, next) = (stream.first_seq().ok()?, stream.next_seq().ok()?);
        Some(Self::collect(first, next, |seq| stream.get(seq), stream.iter(..).unwrap()))
    }

    fn of_reader(image: &Image, strategy: ReadStrategy) -> Option<Self> {
        let home = Home::memory(image);
        let options = ReaderOptions::new().read_strategy(strategy);
        let reader = WalReader::open_in(Environment::new(Arc::clone(&home.storage)), options);
        let stream = reader.stream(STREAM).unwrap();
        let (first, next) = (stream.first_seq().ok()?, stream.next_seq().ok()?);
        let answers = Self::collect(first, next, |seq| stream.get(seq), stream.iter(..).unwrap());
        // The whole is looked at again, from the first entry and in one go.
        let verified = stream.verify().unwrap().unwrap();
        let mut lost: Vec<u64> =
            verified.findings.iter().flat_map(|finding| finding.lost.clone()).collect();
        lost.sort_unstable();
        lost.dedup();
        assert_eq!(lost, answers.lost(), "{verified:?}");
        assert_eq!(home.image(), *image, "a reader changed something");
        Some(answers)
    }

    /// The numbers that cannot be read.
    fn lost(&self) -> Vec<u64> {
        let gets = (self.range.0..).zip(&self.gets);
        gets.filter(|(_, answer)| answer.is_err()).map(|(seq, _)| seq).collect()
    }

    /// That an iterator says what look-ups say: each entry once, one error for what is lost together.
    fn assert_consistent(&self, what: &str) {
        let read: BTreeMap<u64, &Bytes> =
            self.iterated.iter().flatten().map(|(seq, data)| (*seq, data)).collect();
        let got = (self.range.0..).zip(&self.gets);
        let got: BTreeMap<u64, &Bytes> =
            got.filter_map(|(seq, answer)| Some((seq, answer.as_ref().ok()?.as_ref()?))).collect();
        assert_eq!(read, got, "{what}");
        let errors: Vec<_> = self.iterated.iter().filter_map(|item| item.as_ref().err()).collect();
        assert_eq!(errors.is_empty(), self.lost().is_empty(), "{what}: {errors:?}");
        assert!(errors.len() <= self.lost().len(), "{what}: {errors:?}");
        assert_eq!(self.gets.last(), Some(&Ok(None)), "{what}");
    }
}

/// Asks in every way.
fn ask(image: &Image, world: &World, what: &str) {
    let [mapped, plain] = STRATEGIES.map(|strategy| Answers::of_writer(image, world, strategy));
    assert_eq!(mapped, plain, "{what}: writers");
    let [looked, looked_plain] = STRATEGIES.map(|strategy| Answers::of_reader(image, strategy));
    assert_eq!(looked, looked_plain, "{what}: readers");
    assert_eq!(mapped, looked, "{what}: writer and reader");
    let Some(answers) = mapped else { return };
    answers.assert_consistent(what);
    let lost = answers.lost();
    for strategy in STRATEGIES {
        let options = world.options.clone().read_strategy(strategy);
        let home = Home::memory(image);
        let wal = home.open(&options.corruption_policy(CorruptionPolicy::Truncate));
        let stream = wal.stream(STREAM).unwrap();
        let Ok(next) = stream.next_seq() else { continue };
        let first = stream.first_seq().unwrap();
        let truncated =
            Answers::collect(first, next, |seq| stream.get(seq), stream.iter(..).unwrap());
        let report = super::check::report(&wal);
        match &report.given_up {
            // Nothing that an opening looks for: the same as without the policy.
            None => assert_eq!(truncated, answers, "{what}: {report:?}"),
            Some(given_up) => {
                assert_eq!(next, given_up.start, "{what}");
                // Of a segment without its header nothing is kept, though it can be read.
                let is_header =
                    report.damage.iter().any(|damage| Why::of(&damage.error) == Why::Header);
                let first_lost = lost.first().copied().unwrap_or(answers.range.1);
                assert!(next == first_lost || (is_header && next < first_lost), "{what}");
                assert_eq!(given_up.end, answers.range.1, "{what}: {report:?}");
                assert!(truncated.lost().is_empty(), "{what}");
                let kept = usize::try_from(next - first).unwrap();
                assert_eq!(truncated.gets[..kept], answers.gets[..kept], "{what}");
                assert_eq!(stream.append("goes on").unwrap(), next, "{what}");
                assert_eq!(stream.get(next).unwrap().unwrap(), "goes on", "{what}");
            }
        }
    }
}

fn ask_of_all(world: &World, change: impl Fn(&Image, &str, &mut dyn FnMut(Image, String))) {
    for end in ENDS {
        let image = world.image(end);
        for path in image.segments() {
            change(image, &path, &mut |image, what| {
                ask(&image, world, &format!("{end:?}, {path}, {what}"));
            });
        }
    }
}

#[test]
fn every_way_of_asking_gives_the_same_answer_about_a_turned_bit() {
    for world in [World::one_segment(), World::segments()] {
        ask_of_all(&world, |image, path, ask| {
            for bit in (0..image.get(path).len() * 8).step_by(13) {
                ask(image.turned(path, bit), format!("bit {bit}"));
            }
        });
    }
}

#[test]
fn every_way_of_asking_gives_the_same_answer_about_a_cut_or_missing_segment() {
    for world in [World::one_segment(), World::segments()] {
        ask_of_all(&world, |image, path, ask| {
            for len in (0..image.get(path).len()).step_by(5) {
                ask(image.with(path, |bytes| bytes.truncate(len)), format!("cut at {len}"));
                ask(image.with(path, |bytes| bytes[len..].fill(0)), format!("zero from {len}"));
            }
            ask(image.without(path), "missing".to_owned());
        });
    }
}
