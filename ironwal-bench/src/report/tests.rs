use super::*;

fn outcome(id: &str, values: &[(Contender, f64)]) -> Outcome {
    let row = |&(contender, value): &(Contender, f64)| Row {
        contender,
        samples: vec![Sample::new(value)],
        error: None,
    };
    let workload = Workload::find(id).expect("it is there");
    Outcome { workload, rows: values.iter().map(row).collect() }
}

#[test]
fn a_speed_is_as_good_as_it_is_high_and_a_time_as_it_is_low() {
    let speed = outcome("W1", &[(Contender::Ours, 95.0), (Contender::Reserved, 100.0)]);
    let verdicts = speed.verdicts();
    let reached = verdicts[0].reached.expect("both were measured");
    assert!((reached - 0.95).abs() < 1e-9, "{verdicts:?}");
    let words: Vec<_> = verdicts.iter().map(Verdict::word).collect();
    assert_eq!(words, ["met", "not measured", "not measured", "not measured"]);
    let time = outcome("W8", &[(Contender::Ours, 310.0), (Contender::Mapped, 200.0)]);
    let verdict = &time.verdicts()[0];
    let reached = verdict.reached.expect("both were measured");
    assert!((reached - 200.0 / 310.0).abs() < 1e-9 && verdict.word() == "missed", "{verdict:?}");
}

#[test]
fn the_best_peer_is_another_log_and_perhaps_not_that_one() {
    let values =
        [(Contender::Ours, 500.0), (Contender::RaftEngine, 400.0), (Contender::WalDb, 300.0)];
    let both = outcome("W4", &values);
    let met: Vec<_> = both.verdicts().into_iter().map(|verdict| verdict.than).collect();
    assert_eq!(met, ["wal-db", "raft-engine"]);
    let best = |id| outcome(id, &values).best(|one| one.kind() == Kind::Peer).map(|best| best.0);
    assert_eq!(best("W4"), Some(Contender::RaftEngine));
    assert_eq!(best("W12"), Some(Contender::WalDb));
}

#[test]
fn at_a_glance_the_best_of_each_kind_is_beside_this_log() {
    let outcomes = [
        outcome(
            "W2",
            &[
                (Contender::Ours, 400.0),
                (Contender::OursZeros, 600.0),
                (Contender::Okaywal, 300.0),
                (Contender::WalDb, 200.0),
            ],
        ),
        outcome("W6", &[(Contender::Ours, 8.0), (Contender::Memory, 90.0)]),
        outcome("W12", &[(Contender::RaftEngine, 20.0), (Contender::Ours, 10.0)]),
        outcome("W1", &[(Contender::Okaywal, 1.0)]),
    ];
    let mut text = String::new();
    overview::table(&mut text, &outcomes).expect("memory");
    let lines: Vec<_> = text.lines().filter(|line| line.starts_with("| W")).collect();
    let expected = [
        "| W2: Strict, 16 threads, 1 stream | 400 /s | 600 (IronWal, zeros) | 300 (okaywal) | 2.00 |  |",
        "| W6: Async, 1 thread | 8.00 /s |  |  |  |  |",
        "| W12: memory of 10,000 open streams, 100 of them busy | 10.0 MB |  | 20.0 (raft-engine) | 2.00 |  |",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn who_did_not_sync_is_named() {
    let values = [Contender::Growing, Contender::Ours, Contender::WalDb, Contender::Walrus];
    let outcomes = [outcome("W1", &values.map(|contender| (contender, 1.0)))];
    let calls = |contender, syncs, synced_writes| Calls {
        workload: "W1",
        contender,
        syncs,
        synced_writes,
        writes: 1.0,
        hiding: 0.0,
        all: 4.0,
    };
    let calls = [calls(Contender::Ours, 0.4, 0.6), calls(Contender::WalDb, 0.0, 0.5)];
    let mut text = String::new();
    markdown::durability(&mut text, &outcomes, &calls).expect("memory");
    let lines: Vec<_> = text.lines().filter(|line| line.starts_with("- ")).collect();
    let expected = [
        "- IronWal: synced each; 1.00 in W1",
        "- wal-db: **did not sync each**; 0.50 in W1",
        "- walrus: not looked at",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn numbers_are_read_by_people() {
    assert_eq!(number_of(1_234_567.8), "1,234,568");
    assert_eq!(number_of(999.6), "1000");
    assert_eq!(number_of(12.34), "12.3");
    assert_eq!(number_of(0.876), "0.88");
}

#[test]
fn every_workload_has_a_name_of_its_own_and_measures_this_log() {
    for workload in crate::workload::ALL {
        let same = crate::workload::ALL.iter().filter(|other| other.id == workload.id);
        assert_eq!(same.count(), 1, "{}", workload.id);
        assert!(workload.contenders.contains(&Contender::Ours), "{}", workload.id);
        for goal in workload.goals {
            assert!(workload.contenders.contains(&goal.who), "{}", workload.id);
            if let Than::One(other) = goal.than {
                assert!(workload.contenders.contains(&other), "{}", workload.id);
            }
        }
    }
}
