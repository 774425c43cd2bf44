//! Frames that are found without a walk: no further than the bounds, and only what was looked for.

use std::sync::Arc;

use ironwal_format::SequenceNumber;
use ironwal_format::walk::Bounds;
use ironwal_segment::SegmentBytes;
use ironwal_segment::storage::OpenMode;
use ironwal_stream::{ClosedSegment, Evenness, ReadSegment};

use crate::support::{World, batch, entry, sync};

fn filled(world: &World, lens: impl IntoIterator<Item = usize>) {
    let mut stream = world.create();
    let mark = sync(&mut stream);
    for len in lens {
        let mut frame = if len == 0 { batch(&[52, 64]) } else { entry(len) };
        stream.write.append(&mut frame, mark, || 0).unwrap();
    }
}

#[test]
fn nothing_at_or_behind_what_counts_is_found() {
    let world = World::new(1 << 20);
    filled(&world, [128; 60]);
    let (opened, _) = world.open();
    let view = opened.view;
    let active = view.active.unwrap();
    let (name, len, until) = (active.name, active.len, view.next);
    let whole = ReadSegment::closed(Arc::clone(&view.dir), ClosedSegment { name, until, len });
    let file = view.dir.open_segment(name, OpenMode::Read).unwrap();
    let mapped = SegmentBytes::Mapped(file.map(len).unwrap());
    let stretch = active.table.stretch(30).unwrap();
    assert_eq!(stretch.index, 1);
    for bytes in [SegmentBytes::File(file), mapped] {
        for n in 26..52 {
            let seq = SequenceNumber::new(n);
            let (frame, evenness) = whole.find(Some(stretch), seq).unwrap();
            assert_eq!(evenness, Evenness::Proven);
            let end = frame.offset() + frame.place().len;
            let found = |bounds| {
                let segment = ReadSegment { bounds, ..whole.clone() };
                let found = segment.find_even(bytes.clone(), stretch, seq).unwrap();
                found.map(|found| (found.place(), found.into_entry(seq).unwrap()))
            };
            let expected = Some((frame.place(), frame.into_entry(seq).unwrap()));
            for len in (0..len).step_by(8).chain([len, u64::MAX]) {
                let expected = expected.clone().filter(|_| end <= len);
                assert_eq!(found(Bounds { len, until }), expected, "{n}, {len} bytes count");
            }
            for until in 0..60 {
                let expected = expected.clone().filter(|_| n < until);
                let until = SequenceNumber::new(until);
                assert_eq!(found(Bounds { len, until }), expected, "{n}, until {until}");
            }
        }
        for outside in [0, 25, 52, 59, 60] {
            let found = whole.find_even(bytes.clone(), stretch, SequenceNumber::new(outside));
            assert!(found.unwrap().is_none(), "{outside}");
        }
    }
}

/// Wherever the one is that is longer, and the one that is shorter by as much; and where all hold two.
#[test]
fn a_stretch_is_uneven_though_its_points_lie_as_if_it_were() {
    let pairs = (0..26).flat_map(|long| (0..26).map(move |short| (long, short)));
    let mut logs: Vec<Vec<usize>> = pairs
        .filter(|(long, short)| long != short)
        .map(|(long, short)| {
            let mut lens = vec![128; 30];
            (lens[long], lens[short]) = (136, 120);
            lens
        })
        .collect();
    logs.push(vec![0; 60]);
    for lens in logs {
        let world = World::new(1 << 20);
        filled(&world, lens.iter().copied());
        let (opened, _) = world.open();
        let view = opened.view;
        let active = view.active.unwrap();
        let closed = ClosedSegment { name: active.name, until: view.next, len: active.len };
        let segment = ReadSegment::closed(Arc::clone(&view.dir), closed);
        let stretch = active.table.stretch(0).unwrap();
        assert!(stretch.even_frame(0).is_some(), "{lens:?}");
        for n in 0..26 {
            let seq = SequenceNumber::new(n);
            let (frame, evenness) = segment.find(Some(stretch), seq).unwrap();
            assert!(frame.base() <= seq && seq < frame.end());
            assert_eq!(evenness, Evenness::Unknown, "{lens:?}: {n}");
        }
    }
}
