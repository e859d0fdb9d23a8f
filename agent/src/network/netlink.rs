//! The kernel's links and addresses, by rtnetlink: the only file that imports it. Decisions are in `link`.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use futures_util::{StreamExt, TryStreamExt};
use ipnet::Ipv4Net;
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::address::{AddressAttribute, AddressMessage};
use rtnetlink::packet_route::link::{InfoData, InfoKind, InfoVlan, LinkAttribute, LinkFlags, LinkInfo};
use rtnetlink::packet_route::link::{LinkLayerType, LinkMessage};
use rtnetlink::{Handle, LinkUnspec, LinkVlan, MulticastGroup};
use tokio::sync::watch;

use super::link::{Action, Link};
use super::mac::Mac;

/// The kernel answers within milliseconds, if at all.
const PATIENCE: Duration = Duration::from_secs(5);

/// A connection to the kernel.
#[derive(Debug)]
pub struct Netlink {
    handle: Handle,
    class_net: PathBuf,
    changes: watch::Receiver<()>,
}

impl Netlink {
    /// Connects. `class_net` is `/sys/class/net`, where a physical device shows.
    ///
    /// # Errors
    /// When the kernel gives no netlink socket.
    pub fn open(class_net: PathBuf) -> anyhow::Result<Self> {
        let groups = [MulticastGroup::Link, MulticastGroup::Ipv4Ifaddr];
        let (connection, handle, mut messages) =
            rtnetlink::new_multicast_connection(&groups).context("opening a netlink socket")?;
        tokio::spawn(connection);
        let (changed, changes) = watch::channel(());
        // Only that something changed is passed on, once for many: everything is read anew then. What the kernel had to
        // drop is found by the regular look as well.
        tokio::spawn(async move {
            while messages.next().await.is_some() {
                changed.send_replace(());
            }
        });
        Ok(Self {
            handle,
            class_net,
            changes,
        })
    }

    /// Waits until links or addresses have changed since the last call.
    pub async fn changed(&mut self) {
        if self.changes.changed().await.is_err() {
            // The connection is gone; the regular look has to do.
            std::future::pending().await
        }
    }

    /// All links.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub async fn links(&self) -> anyhow::Result<Vec<Link>> {
        let messages = in_time(self.handle.link().get().execute().try_collect::<Vec<_>>()).await;
        let messages = messages.context("listing the network interfaces")?;
        Ok(messages
            .into_iter()
            .filter_map(|message| self.link(message))
            .collect())
    }

    /// The IPv4 addresses of a link.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub async fn addresses(&self, index: u32) -> anyhow::Result<Vec<Ipv4Net>> {
        Ok(self
            .address_messages(index)
            .await?
            .iter()
            .filter_map(address)
            .collect())
    }

    /// Does one thing to a link. What is already done is no error.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub async fn apply(&self, action: &Action) -> anyhow::Result<()> {
        let links = self.handle.link();
        match action {
            Action::SetUp(index) => {
                let up = LinkUnspec::new_with_index(*index).up().build();
                in_time(links.set(up).execute())
                    .await
                    .with_context(|| format!("setting interface {index} up"))
            }
            Action::CreateVlan { name, parent, id } => {
                let link = LinkVlan::new(name, *parent, *id).up().build();
                in_time(links.add(link).execute()).await.with_context(|| {
                    format!("making the VLAN interface {name} (does the kernel have the module 8021q?)")
                })
            }
            Action::Delete(index) => in_time(links.del(*index).execute())
                .await
                .with_context(|| format!("removing interface {index}")),
        }
    }

    /// Adds an address.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub async fn add_address(&self, index: u32, net: Ipv4Net) -> anyhow::Result<()> {
        let request = self
            .handle
            .address()
            .add(index, IpAddr::V4(net.addr()), net.prefix_len());
        in_time(request.replace().execute())
            .await
            .with_context(|| format!("adding the address {net}"))
    }

    /// Removes an address, if it is there.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub async fn remove_address(&self, index: u32, net: Ipv4Net) -> anyhow::Result<()> {
        for message in self.address_messages(index).await? {
            if address(&message) == Some(net) {
                let removed = in_time(self.handle.address().del(message).execute()).await;
                removed.with_context(|| format!("removing the address {net}"))?;
            }
        }
        Ok(())
    }

    /// Ties an address of the link to a hardware address, whatever ARP says.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub async fn pin(&self, index: u32, address: Ipv4Addr, mac: Mac) -> anyhow::Result<()> {
        let request = self.handle.neighbours().add(index, IpAddr::V4(address));
        let request = request.link_layer_address(&mac.octets()).replace();
        in_time(request.execute())
            .await
            .with_context(|| format!("tying {address} to {mac}"))
    }

    /// Ends `pin`: ARP decides again.
    ///
    /// # Errors
    /// When the kernel refuses, also when there is nothing to end.
    pub async fn unpin(&self, index: u32, address: Ipv4Addr) -> anyhow::Result<()> {
        let mut neighbour = self.handle.neighbours().add(index, IpAddr::V4(address));
        let message = neighbour.message_mut().clone();
        in_time(self.handle.neighbours().del(message).execute())
            .await
            .with_context(|| format!("untying {address}"))
    }

    async fn address_messages(&self, index: u32) -> anyhow::Result<Vec<AddressMessage>> {
        let request = self.handle.address().get().set_link_index_filter(index);
        let messages = in_time(request.execute().try_collect::<Vec<_>>()).await;
        let mut messages = messages.context("listing the addresses")?;
        messages.retain(|message| message.header.index == index);
        Ok(messages)
    }

    fn link(&self, message: LinkMessage) -> Option<Link> {
        let ethernet = message.header.link_layer_type == LinkLayerType::Ether;
        let flags = message.header.flags;
        let mut link = Link {
            index: message.header.index,
            name: String::new(),
            mac: None,
            wired: false,
            kind: None,
            enslaved: false,
            up: flags.contains(LinkFlags::Up),
            carrier: flags.contains(LinkFlags::LowerUp),
            vlan: None,
        };
        let (mut parent, mut vlan_id) = (None, None);
        for attribute in message.attributes {
            match attribute {
                LinkAttribute::IfName(name) => link.name = name,
                LinkAttribute::Address(bytes) if ethernet && !flags.contains(LinkFlags::Loopback) => {
                    link.mac = Mac::try_from(bytes.as_slice())
                        .ok()
                        .filter(|mac| mac.is_station());
                }
                LinkAttribute::Controller(index) => link.enslaved = index != 0,
                LinkAttribute::Link(index) => parent = Some(index),
                LinkAttribute::LinkInfo(infos) => {
                    for info in infos {
                        match info {
                            LinkInfo::Kind(kind) => link.kind = Some(kind.to_string()),
                            LinkInfo::Data(InfoData::Vlan(infos)) => {
                                vlan_id = infos.iter().find_map(|info| match info {
                                    InfoVlan::Id(id) => Some(*id),
                                    _ => None,
                                });
                            }
                            _ => {}
                        }
                    }
                }
                _ => {}
            }
        }
        if link.kind.as_deref() == Some(InfoKind::Vlan.to_string().as_str()) {
            link.vlan = parent.zip(vlan_id);
        }
        let folder = self.class_net.join(&link.name);
        let has = |file: &str| folder.join(file).exists();
        link.wired = has("device") && !has("wireless") && !has("phy80211");
        (!link.name.is_empty()).then_some(link)
    }
}

/// An answer that is lost (the kernel drops what its buffer has no room for) must not stop the loop.
async fn in_time<T>(request: impl Future<Output = Result<T, rtnetlink::Error>>) -> anyhow::Result<T> {
    match tokio::time::timeout(PATIENCE, request).await {
        Ok(result) => Ok(result?),
        Err(_) => anyhow::bail!("the kernel does not answer within {} s", PATIENCE.as_secs()),
    }
}

/// The IPv4 address that a message describes.
fn address(message: &AddressMessage) -> Option<Ipv4Net> {
    if message.header.family != AddressFamily::Inet {
        return None;
    }
    let of = |attribute: &AddressAttribute| match attribute {
        AddressAttribute::Local(IpAddr::V4(address)) => Some(*address),
        _ => None,
    };
    let local: Option<Ipv4Addr> = message.attributes.iter().find_map(of);
    Ipv4Net::new(local?, message.header.prefix_len).ok()
}
