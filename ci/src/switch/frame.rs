//! The part of an Ethernet frame that a switch looks at (IEEE 802.3 clause 3, 802.1Q clause 9).

/// A hardware address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Mac(pub [u8; 6]);

/// Destination, source and VLAN of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// To whom.
    pub destination: Mac,
    /// From whom.
    pub source: Mac,
    /// Number of the outer 802.1Q tag, if the frame is tagged.
    pub vlan: Option<u16>,
}

const TAG: [u8; 2] = [0x81, 0x00];

impl Mac {
    /// Whether the frame is for many: broadcast or multicast.
    pub fn is_group(self) -> bool {
        self.0[0] & 1 == 1
    }
}

impl Header {
    /// Reads a frame's header; `None` when the frame is shorter than one.
    pub fn read(frame: &[u8]) -> Option<Self> {
        let destination = Mac(*frame.first_chunk()?);
        let source = Mac(*frame.get(6..)?.first_chunk()?);
        let ether_type: [u8; 2] = *frame.get(12..)?.first_chunk()?;
        let vlan = match frame.get(14..16) {
            Some(tag) if ether_type == TAG => Some(u16::from_be_bytes([tag[0], tag[1]]) & 0x0fff),
            _ => None,
        };
        Some(Self {
            destination,
            source,
            vlan,
        })
    }
}

impl std::fmt::Display for Mac {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl std::str::FromStr for Mac {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("'{text}' is not a hardware address: six bytes such as 02:00:00:00:00:01");
        let mut bytes = [0; 6];
        let mut parts = text.split(':');
        for byte in &mut bytes {
            let part = parts.next().filter(|part| part.len() == 2).ok_or_else(wrong)?;
            *byte = u8::from_str_radix(part, 16).map_err(|_| wrong())?;
        }
        if parts.next().is_some() {
            return Err(wrong());
        }
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for Mac {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Mac> for String {
    fn from(mac: Mac) -> Self {
        mac.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_tagged_and_untagged_headers() {
        let untagged = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45];
        let header = Header::read(&untagged).unwrap();
        assert_eq!(header.destination.to_string(), "02:00:00:00:00:01");
        assert_eq!(header.source.to_string(), "02:00:00:00:00:02");
        assert_eq!(header.vlan, None);
        // Priority bits above the VLAN number are not part of it.
        let tagged = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x81, 0, 0xe0, 200, 8, 0];
        assert_eq!(Header::read(&tagged).unwrap().vlan, Some(200));
        assert_eq!(Header::read(&untagged[..13]), None);
    }

    #[test]
    fn reads_and_writes_addresses() {
        let text = "02:00:5e:0a:ff:01";
        assert_eq!(text.parse::<Mac>().unwrap().to_string(), text);
        for bad in [
            "",
            "02:00:5e:0a:ff",
            "02:00:5e:0a:ff:01:02",
            "2:0:0:0:0:1",
            "zz:00:00:00:00:00",
        ] {
            assert!(
                bad.parse::<Mac>()
                    .unwrap_err()
                    .contains("is not a hardware address"),
                "{bad}"
            );
        }
    }
}
