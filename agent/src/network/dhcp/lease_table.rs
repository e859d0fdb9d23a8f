//! Which client has which address: pure, time passed in. Leases are sticky: a client gets the address it had, even
//! long after its lease ran out, as long as the pool has others to give.
//!
//! No client can make the table larger than the pool. Times are durations since any fixed moment.

use std::collections::{BTreeMap, HashMap};
use std::net::Ipv4Addr;
use std::time::Duration;

use boot_config::{Hostname, Pool};

use crate::network::mac::Mac;

/// An offered address is kept for its client for so long.
const OFFER: Duration = Duration::from_secs(10);
/// An address that a client found in use by somebody else is not given for so long.
const DECLINED: Duration = Duration::from_secs(300);
/// An address seen in use by ARP, without a lease of ours, is not given for so long.
const SEEN: Duration = Duration::from_secs(600);

/// What a client is known by: its identifier (option 61) where it sends one, else its hardware address (RFC 2131 4.2).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ClientKey {
    /// Option 61.
    Id(Vec<u8>),
    /// Its hardware address.
    Mac(Mac),
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// What it is known by.
    pub key: ClientKey,
    /// Its hardware address.
    pub mac: Mac,
    /// Its name.
    pub hostname: Option<Hostname>,
    /// Whether it is an agent of ours, so a node of the cluster.
    pub node: bool,
}

/// An address and its client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The address.
    pub address: Ipv4Addr,
    /// Whose it is.
    pub client: Client,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hold {
    Offered(Duration),
    Leased(Duration),
    Declined(Duration),
    Seen(Duration),
    /// Not in use, kept for its client as long as there are others to give.
    Kept(Duration),
}

impl Hold {
    /// Since when somebody else may have it; `None` while it is in use.
    fn free_since(self, now: Duration) -> Option<Duration> {
        match self {
            Self::Kept(since) => Some(since),
            Self::Offered(until) | Self::Leased(until) | Self::Declined(until) | Self::Seen(until) => {
                (now >= until).then_some(until)
            }
        }
    }
}

#[derive(Clone, Debug)]
struct Entry {
    client: Client,
    hold: Hold,
    /// Whether it was ever leased: only then it is worth a line in the lease file.
    leased: bool,
}

/// The table of one master.
#[derive(Debug)]
pub struct LeaseTable {
    pool: Pool,
    lease: Duration,
    entries: BTreeMap<Ipv4Addr, Entry>,
    by_client: HashMap<ClientKey, Ipv4Addr>,
    changed: bool,
}

impl LeaseTable {
    /// An empty table that gives addresses of `pool` for `lease` each.
    pub fn new(pool: Pool, lease: Duration) -> Self {
        Self {
            pool,
            lease,
            entries: BTreeMap::new(),
            by_client: HashMap::new(),
            changed: false,
        }
    }

    /// Takes leases of an earlier run or of another master, as kept for their clients. Those outside the pool and
    /// those in conflict with the table are left out.
    pub fn adopt(&mut self, now: Duration, leases: impl IntoIterator<Item = Lease>) {
        for Lease { address, client } in leases {
            let free = !self.entries.contains_key(&address) && self.address_of(&client).is_none();
            if self.pool.contains(address) && free {
                self.put(address, client, Hold::Kept(now), true);
            }
        }
    }

    /// The address to offer: the client's own, else the one it wants, else the lowest that is free, else the one
    /// that has been unused for longest. `None` when all are in use.
    pub fn offer(&mut self, now: Duration, client: &Client, wanted: Option<Ipv4Addr>) -> Option<Ipv4Addr> {
        if let Some(address) = self.address_of(client)
            && let Some(entry) = self.entries.get_mut(&address)
        {
            if entry.hold.free_since(now).is_some() {
                entry.hold = Hold::Offered(now + OFFER);
            }
            return Some(address);
        }
        let unused = |address: &Ipv4Addr| !self.entries.contains_key(address);
        let address = wanted
            .filter(|address| self.pool.contains(*address) && unused(address))
            .or_else(|| self.pool.addresses().find(unused))
            .or_else(|| self.longest_unused(now))?;
        self.changed |= self.remove(address).is_some_and(|entry| entry.leased);
        self.put(address, client.clone(), Hold::Offered(now + OFFER), false);
        Some(address)
    }

    /// Leases `address` to the client, new or again. `false`: it is not this client's to have.
    pub fn confirm(&mut self, now: Duration, client: &Client, address: Ipv4Addr) -> bool {
        let own = self.address_of(client) == Some(address);
        if !own && (self.entries.contains_key(&address) || !self.pool.contains(address)) {
            return false;
        }
        let known = self
            .entries
            .get(&address)
            .is_some_and(|entry| entry.leased && entry.client == *client);
        if let Some(old) = self.address_of(client) {
            self.remove(old);
        }
        self.put(address, client.clone(), Hold::Leased(now + self.lease), true);
        self.changed |= !known;
        true
    }

    /// The client gives its address back; it is kept for it.
    pub fn release(&mut self, now: Duration, client: &Client, address: Ipv4Addr) {
        if self.address_of(client) == Some(address) {
            self.hold(address, Hold::Kept(now));
        }
    }

    /// The client found the address in use by somebody else. The client itself may ask for another at once.
    pub fn decline(&mut self, now: Duration, client: &Client, address: Ipv4Addr) {
        if self.address_of(client) == Some(address) {
            self.changed |= self.entries.get(&address).is_some_and(|entry| entry.leased);
            self.by_client.retain(|_, of| *of != address);
            self.hold(address, Hold::Declined(now + DECLINED));
            if let Some(entry) = self.entries.get_mut(&address) {
                entry.leased = false;
            }
        }
    }

    /// The offer to the client was not taken.
    pub fn refused(&mut self, client: &Client) {
        if let Some(address) = self.address_of(client)
            && let Some(Entry {
                hold: Hold::Offered(_),
                leased: false,
                ..
            }) = self.entries.get(&address)
        {
            self.remove(address);
        }
    }

    /// A station was seen to use an address. Without a lease of ours it is not given to others for a while; at most
    /// half of the pool can be blocked in this way.
    pub fn seen(&mut self, now: Duration, address: Ipv4Addr, mac: Mac) {
        let blocked = |entry: &&Entry| matches!(entry.hold, Hold::Seen(_));
        match self.entries.get(&address) {
            Some(Entry {
                hold: Hold::Seen(_),
                client,
                ..
            }) if client.mac == mac => {
                self.hold(address, Hold::Seen(now + SEEN));
            }
            None if self.pool.contains(address)
                && self.entries.values().filter(blocked).count() < self.size() / 2 =>
            {
                let client = Client {
                    key: ClientKey::Mac(mac),
                    mac,
                    hostname: None,
                    node: false,
                };
                if self.address_of(&client).is_none() {
                    self.put(address, client, Hold::Seen(now + SEEN), false);
                }
            }
            _ => {}
        }
    }

    /// The leases that are in use now, by address.
    pub fn active(&self, now: Duration) -> impl Iterator<Item = Lease> {
        self.all()
            .filter(move |(_, entry)| {
                matches!(entry.hold, Hold::Leased(_)) && entry.hold.free_since(now).is_none()
            })
            .map(lease)
    }

    /// All leases worth remembering, by address.
    pub fn leases(&self) -> impl Iterator<Item = Lease> {
        self.all().filter(|(_, entry)| entry.leased).map(lease)
    }

    /// Whether `leases` has changed since this was last asked.
    pub fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    fn all(&self) -> impl Iterator<Item = (&Ipv4Addr, &Entry)> {
        self.entries.iter()
    }

    fn size(&self) -> usize {
        usize::try_from(u32::from(self.pool.last()) - u32::from(self.pool.first()))
            .unwrap_or(usize::MAX)
            .saturating_add(1)
    }

    /// The client's address. Its hardware address counts too: leases of another master and addresses seen by ARP are
    /// known by nothing else.
    fn address_of(&self, client: &Client) -> Option<Ipv4Addr> {
        self.by_client
            .get(&client.key)
            .or_else(|| self.by_client.get(&ClientKey::Mac(client.mac)))
            .copied()
    }

    fn longest_unused(&self, now: Duration) -> Option<Ipv4Addr> {
        let free = self
            .entries
            .iter()
            .filter_map(|(address, entry)| Some((entry.hold.free_since(now)?, *address)));
        free.min().map(|(_, address)| address)
    }

    fn hold(&mut self, address: Ipv4Addr, hold: Hold) {
        if let Some(entry) = self.entries.get_mut(&address) {
            entry.hold = hold;
        }
    }

    fn put(&mut self, address: Ipv4Addr, client: Client, hold: Hold, leased: bool) {
        self.by_client.insert(client.key.clone(), address);
        self.entries.insert(address, Entry { client, hold, leased });
    }

    fn remove(&mut self, address: Ipv4Addr) -> Option<Entry> {
        let entry = self.entries.remove(&address)?;
        // After a decline the client may have another address by now.
        if self.by_client.get(&entry.client.key) == Some(&address) {
            self.by_client.remove(&entry.client.key);
        }
        Some(entry)
    }
}

fn lease((address, entry): (&Ipv4Addr, &Entry)) -> Lease {
    Lease {
        address: *address,
        client: entry.client.clone(),
    }
}

#[cfg(test)]
mod tests {
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
        LeaseTable::new(Pool::new(address(20), address(last)).unwrap(), secs(600))
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
    fn a_flood_of_clients_does_not_grow_the_table() {
        let mut table = table(29);
        for number in 0..=255 {
            table.offer(secs(u64::from(number)), &client(number), None);
        }
        assert!(table.entries.len() <= 10 && table.by_client.len() <= 10);
    }
}
