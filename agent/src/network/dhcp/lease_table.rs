//! Which client has which address: pure, time passed in. Leases are sticky: a client gets the address it had, even
//! long after its lease ran out, as long as the pool has others to give.
//!
//! No client can make the table larger than the pool. Times are durations since any fixed moment.

use std::collections::{BTreeMap, HashMap};
use std::net::Ipv4Addr;
use std::time::Duration;

use boot_config::{Hostname, Pool, Reservations};

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
    reservations: Reservations,
    lease: Duration,
    entries: BTreeMap<Ipv4Addr, Entry>,
    by_client: HashMap<ClientKey, Ipv4Addr>,
    changed: bool,
}

impl LeaseTable {
    /// An empty table that gives addresses of `pool` for `lease` each, and to certain clients those that are reserved.
    pub fn new(pool: Pool, reservations: Reservations, lease: Duration) -> Self {
        Self {
            pool,
            reservations,
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
            if self.may_have(&client, address) && free {
                self.put(address, client, Hold::Kept(now), true);
            }
        }
    }

    /// The address to offer: the client's own, else the one it wants, else the lowest that is free, else the one
    /// that has been unused for longest. `None` when all are in use.
    pub fn offer(&mut self, now: Duration, client: &Client, wanted: Option<Ipv4Addr>) -> Option<Ipv4Addr> {
        if let Some(reserved) = self.reserved(client) {
            let free = |entry: &Entry| entry.client.key == client.key || entry.hold.free_since(now).is_some();
            let rests = |entry: &Entry| matches!(entry.hold, Hold::Declined(until) | Hold::Seen(until) if now < until);
            if self
                .entries
                .get(&reserved)
                .is_none_or(|entry| free(entry) && !rests(entry))
            {
                return Some(self.offer_reserved(now, client, reserved));
            }
        }
        if let Some(address) = self.address_of(client)
            && let Some(entry) = self.entries.get_mut(&address)
        {
            if entry.hold.free_since(now).is_some() {
                entry.hold = Hold::Offered(now + OFFER);
            }
            return Some(address);
        }
        let unused = |address: &Ipv4Addr| {
            !self.entries.contains_key(address) && !self.reservations.is_reserved(*address)
        };
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
        if !own && (self.entries.contains_key(&address) || !self.may_have(client, address)) {
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

    fn reserved(&self, client: &Client) -> Option<Ipv4Addr> {
        self.reservations
            .address(client.mac.octets(), client.hostname.as_ref())
    }

    /// Whether an address that nobody has may be this client's: of the pool, if it is reserved for nobody else.
    fn may_have(&self, client: &Client, address: Ipv4Addr) -> bool {
        self.reserved(client) == Some(address)
            || (self.pool.contains(address) && !self.reservations.is_reserved(address))
    }

    fn offer_reserved(&mut self, now: Duration, client: &Client, address: Ipv4Addr) -> Ipv4Addr {
        let own = self.address_of(client) == Some(address);
        let in_use = |entry: &Entry| entry.hold.free_since(now).is_none();
        if !(own && self.entries.get(&address).is_some_and(in_use)) {
            for address in self.address_of(client).into_iter().chain([address]) {
                self.changed |= self.remove(address).is_some_and(|entry| entry.leased);
            }
            self.put(address, client.clone(), Hold::Offered(now + OFFER), false);
        }
        address
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
mod tests;
