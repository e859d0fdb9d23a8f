//! Links, sessions and tokens, and what each allows. Links and sessions end with the agent; tokens are kept, as hashes.

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::token::{Hash, Token};
use super::{Level, Who};
use crate::durable;

/// A link must be used within this.
pub(super) const LINK_LIFE: Duration = Duration::from_secs(10 * 60);
/// A session ends after this.
pub(super) const SESSION_LIFE: Duration = Duration::from_secs(12 * 3600);
/// Of each kind; the oldest link or session makes room.
const MOST: usize = 64;
/// A token's life, in days.
const DAYS_MAX: u32 = 3650;

/// What is given out.
#[derive(Debug)]
pub struct Grant {
    /// The secret.
    pub token: Token,
    /// How long it can be used.
    pub life: Duration,
}

/// The links, sessions and tokens.
#[derive(Debug)]
pub struct Vault {
    file: PathBuf,
    links: Vec<Pass>,
    sessions: Vec<Pass>,
    tokens: Vec<Kept>,
}

#[derive(Debug)]
struct Pass {
    hash: Hash,
    who: Who,
    until: Instant,
}

/// A script's token in the state folder.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Kept {
    name: String,
    level: Level,
    hash: Hash,
    expires_at: u64,
}

/// A script's token, without its secret.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Listed {
    /// Its name.
    pub name: String,
    /// What it allows.
    pub level: Level,
    /// Seconds since 1970.
    pub expires_at: u64,
}

impl Vault {
    /// With the tokens in this file, if it is there and sound.
    pub(super) fn open(file: PathBuf) -> Self {
        let read = || -> anyhow::Result<Vec<Kept>> {
            match std::fs::read(&file) {
                Ok(bytes) => Ok(serde_json::from_slice(&bytes)?),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
                Err(error) => Err(error.into()),
            }
        };
        let tokens = read().unwrap_or_else(|error| {
            tracing::warn!("{}: no token is valid any more: {error:#}", file.display());
            Vec::new()
        });
        Self {
            file,
            links: Vec::new(),
            sessions: Vec::new(),
            tokens,
        }
    }

    /// Makes a link that can be used once.
    ///
    /// # Errors
    /// When the kernel gives no random numbers.
    pub fn make_link(&mut self, level: Level) -> anyhow::Result<Grant> {
        let who = Who {
            name: "dashboard".to_owned(),
            level: level.min(Level::Administrator),
        };
        add(&mut self.links, who, LINK_LIFE)
    }

    /// Makes a session of a link, which ends with that.
    ///
    /// # Errors
    /// When there is no such link.
    pub fn exchange(&mut self, link: &Token, from: &str) -> anyhow::Result<Grant> {
        let hash = link.hash();
        let now = Instant::now();
        let found = self
            .links
            .iter()
            .position(|pass| pass.until > now && pass.hash.is_of(&hash));
        let Some(index) = found else {
            bail!("this link was used already or is too old; `cluster-lab login` on a node makes a new one");
        };
        let pass = self.links.swap_remove(index);
        let who = Who {
            name: format!("{} from {from}", pass.who.level),
            level: pass.who.level,
        };
        add(&mut self.sessions, who, SESSION_LIFE)
    }

    /// Ends a session.
    pub fn end_session(&mut self, session: &Token) {
        let hash = session.hash();
        self.sessions.retain(|pass| !pass.hash.is_of(&hash));
    }

    /// Makes a token for scripts; an older one of the same name ends.
    ///
    /// # Errors
    /// When the name or number of days is no good, there are too many, or the file cannot be written.
    pub fn make_token(&mut self, name: &str, level: Level, days: u32) -> anyhow::Result<Grant> {
        let sound = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if name.is_empty() || name.len() > 40 || !name.bytes().all(sound) {
            bail!("a token's name has 1 to 40 letters, digits, '-', '_' and '.'");
        }
        if !(1..=DAYS_MAX).contains(&days) {
            bail!("a token lives 1 to {DAYS_MAX} days");
        }
        let mut tokens = self.tokens.clone();
        tokens.retain(|kept| kept.name != name && kept.expires_at > since_1970());
        if tokens.len() >= MOST {
            bail!("there are {MOST} tokens already; remove one: cluster-lab login --revoke NAME");
        }
        let token = Token::make()?;
        let life = Duration::from_secs(u64::from(days) * 24 * 3600);
        tokens.push(Kept {
            name: name.to_owned(),
            level: level.min(Level::Administrator),
            hash: token.hash(),
            expires_at: since_1970() + life.as_secs(),
        });
        self.keep(tokens)?;
        Ok(Grant { token, life })
    }

    /// Ends a token; whether there was one of this name.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn revoke(&mut self, name: &str) -> anyhow::Result<bool> {
        let mut tokens = self.tokens.clone();
        tokens.retain(|kept| kept.name != name);
        let found = tokens.len() < self.tokens.len();
        if found {
            self.keep(tokens)?;
        }
        Ok(found)
    }

    /// The tokens for scripts.
    pub fn tokens(&self) -> Vec<Listed> {
        let listed = |kept: &Kept| Listed {
            name: kept.name.clone(),
            level: kept.level,
            expires_at: kept.expires_at,
        };
        self.tokens.iter().map(listed).collect()
    }

    /// Who has this session.
    pub fn session(&self, token: &Token) -> Option<Who> {
        let hash = token.hash();
        let now = Instant::now();
        let found = self.sessions.iter().find(|pass| pass.hash.is_of(&hash))?;
        (found.until > now).then(|| found.who.clone())
    }

    /// Who has this token for scripts.
    pub fn bearer(&self, token: &Token) -> Option<Who> {
        let hash = token.hash();
        let found = self.tokens.iter().find(|kept| kept.hash.is_of(&hash))?;
        (found.expires_at > since_1970()).then(|| Who {
            name: format!("token {}", found.name),
            // The file is not trusted with more than tokens can have.
            level: found.level.min(Level::Administrator),
        })
    }

    fn keep(&mut self, tokens: Vec<Kept>) -> anyhow::Result<()> {
        let bytes = serde_json::to_vec_pretty(&tokens)?;
        durable::write(&self.file, &bytes, 0o600, None)
            .with_context(|| format!("writing {}", self.file.display()))?;
        self.tokens = tokens;
        Ok(())
    }
}

fn add(passes: &mut Vec<Pass>, who: Who, life: Duration) -> anyhow::Result<Grant> {
    let now = Instant::now();
    passes.retain(|pass| pass.until > now);
    if passes.len() >= MOST {
        passes.remove(0);
    }
    let token = Token::make()?;
    passes.push(Pass {
        hash: token.hash(),
        who,
        until: now + life,
    });
    Ok(Grant { token, life })
}

pub(super) fn since_1970() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vault(folder: &tempfile::TempDir) -> Vault {
        Vault::open(folder.path().join("tokens.json"))
    }

    #[tokio::test(start_paused = true)]
    async fn a_link_is_good_once_and_not_for_long() {
        let folder = tempfile::tempdir().unwrap();
        let mut vault = vault(&folder);
        let link = vault.make_link(Level::Administrator).unwrap();
        let session = vault.exchange(&link.token, "192.168.200.30").unwrap();
        let who = vault.session(&session.token).unwrap();
        assert_eq!(
            (who.name.as_str(), who.level),
            ("administrator from 192.168.200.30", Level::Administrator)
        );
        let error = vault.exchange(&link.token, "x").unwrap_err().to_string();
        assert!(error.starts_with("this link was used already"), "{error}");
        assert!(vault.session(&link.token).is_none(), "a link is no session");

        let late = vault.make_link(Level::Reader).unwrap();
        tokio::time::advance(LINK_LIFE).await;
        assert!(vault.exchange(&late.token, "x").is_err());
        tokio::time::advance(SESSION_LIFE).await;
        assert!(vault.session(&session.token).is_none());
    }

    #[tokio::test]
    async fn a_session_ends_when_told_and_the_number_of_sessions_is_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let mut vault = vault(&folder);
        let mut login = || {
            let link = vault.make_link(Level::Root).unwrap();
            vault.exchange(&link.token, "x").unwrap().token
        };
        let first = login();
        let sessions: Vec<_> = (0..MOST).map(|_| login()).collect();
        assert!(vault.session(&first).is_none());
        let last = &sessions[MOST - 1];
        assert_eq!(
            vault.session(last).unwrap().level,
            Level::Administrator,
            "never root"
        );
        vault.end_session(last);
        assert!(vault.session(last).is_none());
    }

    #[test]
    fn a_token_outlives_the_agent_until_it_expires_or_is_revoked() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let mut before = vault(&folder);
        let grant = before.make_token("ci", Level::Administrator, 30).unwrap();
        let old = before.make_token("old", Level::Reader, 1).unwrap();
        for (name, days, expected) in [
            ("", 1, "a token's name"),
            ("a b", 1, "a token's name"),
            ("a", 0, "1 to 3650"),
        ] {
            let error = before
                .make_token(name, Level::Reader, days)
                .unwrap_err()
                .to_string();
            assert!(error.contains(expected), "{error}");
        }
        let file = folder.path().join("tokens.json");
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(!text.contains(grant.token.reveal()));
        assert_eq!(
            std::fs::metadata(&file).unwrap().permissions().mode() & 0o777,
            0o600
        );
        let soon = before.tokens[1].expires_at;
        std::fs::write(&file, text.replace(&soon.to_string(), "1")).unwrap();

        let mut after = vault(&folder);
        let who = after.bearer(&grant.token).unwrap();
        assert_eq!((who.name.as_str(), who.level), ("token ci", Level::Administrator));
        assert!(after.bearer(&old.token).is_none(), "expired");
        assert_eq!(after.tokens().len(), 2);
        assert!(after.revoke("ci").unwrap() && !after.revoke("ci").unwrap());
        assert!(after.bearer(&grant.token).is_none());
        std::fs::write(&file, "not json").unwrap();
        assert!(vault(&folder).tokens().is_empty());
    }
}
