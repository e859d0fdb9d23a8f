//! Sticky leases, conflicts and reservations.

use super::*;

fn address(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(192, 168, 200, last)
}

fn client(last: u8) -> Client {
    let mac = Mac::from([2, 0, 0, 0, 0, last]);
    Client {
        key: ClientKey::Mac(mac),
        mac,
        hostname: None,
        node: true,
    }
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn table(last: u8) -> LeaseTable {
    LeaseTable::new(
        Pool::new(address(20), address(last)).unwrap(),
        Reservations::default(),
        secs(600),
    )
}

fn give(table: &mut LeaseTable, now: u64, number: u8) -> Option<Ipv4Addr> {
    let given = table.offer(secs(now), &client(number), None)?;
    table.confirm(secs(now), &client(number), given).then_some(given)
}

#[test]
fn a_client_gets_its_address_again_long_after_it_ran_out() {
    let mut table = table(29);
    assert_eq!(give(&mut table, 0, 1), Some(address(20)));
    assert_eq!(give(&mut table, 0, 2), Some(address(21)));
    assert_eq!(table.active(secs(599)).count(), 2);
    assert_eq!(table.active(secs(600)).count(), 0);
    assert_eq!(give(&mut table, 90_000, 3), Some(address(22)));
    assert_eq!(give(&mut table, 90_001, 2), Some(address(21)));
    table.release(secs(90_002), &client(2), address(21));
    assert_eq!(give(&mut table, 90_003, 2), Some(address(21)));
}

#[test]
fn a_full_pool_gives_what_was_unused_for_longest_and_never_what_is_in_use() {
    let mut table = table(21);
    give(&mut table, 0, 1);
    give(&mut table, 10, 2);
    assert_eq!(give(&mut table, 599, 3), None);
    assert_eq!(give(&mut table, 605, 3), Some(address(20)));
    assert_eq!(give(&mut table, 606, 1), None);
    assert_eq!(give(&mut table, 611, 1), Some(address(21)));
}

#[test]
fn nobody_gets_the_address_of_another() {
    let mut table = table(29);
    give(&mut table, 0, 1);
    assert!(!table.confirm(secs(1), &client(2), address(20)));
    assert!(
        !table.confirm(secs(1), &client(2), address(5)),
        "outside the pool"
    );
    table.release(secs(1), &client(2), address(20));
    table.decline(secs(1), &client(2), address(20));
    assert_eq!(table.active(secs(2)).next().unwrap().client, client(1));
}

#[test]
fn a_new_master_confirms_an_address_that_is_free() {
    let mut table = table(29);
    assert!(table.confirm(secs(0), &client(1), address(25)));
    assert_eq!(give(&mut table, 1, 1), Some(address(25)));
}

#[test]
fn a_declined_address_rests_and_its_client_gets_another() {
    let mut table = table(29);
    give(&mut table, 0, 1);
    table.decline(secs(1), &client(1), address(20));
    assert_eq!(give(&mut table, 1, 1), Some(address(21)));
    assert_eq!(table.leases().count(), 1);
}

#[test]
fn a_client_identifier_goes_before_the_hardware_address() {
    let mut table = table(29);
    let mut one = client(1);
    one.key = ClientKey::Id(vec![1]);
    let mut other_card = client(2);
    other_card.key = ClientKey::Id(vec![1]);
    assert!(table.confirm(secs(0), &one, address(20)));
    assert_eq!(table.offer(secs(0), &other_card, None), Some(address(20)));
}

#[test]
fn an_address_seen_in_use_is_given_to_its_user_only() {
    let mut table = table(23);
    table.seen(secs(0), address(20), client(9).mac);
    table.seen(secs(0), address(21), client(8).mac);
    table.seen(secs(0), address(22), client(7).mac);
    assert_eq!(table.entries.len(), 2, "half of the pool at most");
    assert_eq!(give(&mut table, 1, 1), Some(address(22)));
    assert_eq!(give(&mut table, 1, 9), Some(address(20)));
    assert_eq!(table.leases().count(), 2);
}

#[test]
fn adopted_leases_are_kept_for_their_clients() {
    let mut table = table(29);
    let lease = |last: u8| Lease {
        address: address(last),
        client: client(last),
    };
    table.adopt(secs(0), [lease(22), lease(22), lease(99)]);
    assert_eq!(table.leases().count(), 1);
    assert!(!table.take_changed());
    assert_eq!(table.active(secs(0)).count(), 0);
    assert_eq!(give(&mut table, 1, 22), Some(address(22)));
}

#[test]
fn only_what_the_file_would_say_counts_as_a_change() {
    let mut table = table(29);
    table.offer(secs(0), &client(1), None);
    assert!(!table.take_changed());
    give(&mut table, 0, 1);
    assert!(table.take_changed());
    give(&mut table, 300, 1);
    table.release(secs(301), &client(1), address(20));
    assert!(!table.take_changed());
}

#[test]
fn a_reserved_address_is_its_machines_and_nobody_elses() {
    let reserved = |pairs: &[(&str, &str)]| {
        let pairs = pairs
            .iter()
            .map(|(who, what)| ((*who).to_owned(), (*what).to_owned()));
        Reservations::try_from(pairs.collect::<BTreeMap<_, _>>()).unwrap()
    };
    let mut table = table(29);
    // It has an address already when the master is told of the reservation.
    assert_eq!(give(&mut table, 0, 3), Some(address(20)));
    table.reservations = reserved(&[
        ("02:00:00:00:00:01", "192.168.200.20"),
        ("02:00:00:00:00:02", "192.168.200.5"),
        ("02:00:00:00:00:03", "192.168.200.7"),
    ]);
    assert_eq!(give(&mut table, 1, 2), Some(address(5)), "outside the pool");
    assert_eq!(give(&mut table, 1, 4), Some(address(21)));
    assert!(!table.confirm(secs(1), &client(4), address(5)));
    assert_eq!(give(&mut table, 1, 1), Some(address(22)), "still somebody else's");
    assert_eq!(give(&mut table, 2, 3), Some(address(7)));
    assert_eq!(give(&mut table, 3, 1), Some(address(20)));
    assert_eq!(give(&mut table, 700, 1), Some(address(20)));
    table.decline(secs(701), &client(2), address(5));
    assert_eq!(
        give(&mut table, 702, 2),
        Some(address(22)),
        "in use by somebody for now"
    );
    assert_eq!(give(&mut table, 1100, 2), Some(address(5)));
}

#[test]
fn a_flood_of_clients_does_not_grow_the_table() {
    let mut table = table(29);
    for number in 0..=255 {
        table.offer(secs(u64::from(number)), &client(number), None);
    }
    assert!(table.entries.len() <= 10 && table.by_client.len() <= 10);
}
