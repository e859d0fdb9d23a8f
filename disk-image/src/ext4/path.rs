//! Paths inside a root file system.

/// An absolute path below `/`, without `.`, `..`, empty components or a slash at its end.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RootPath(String);

/// Why a text is not such a path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{0}' is not a path inside the root file system: it must start with / and have no '.' or '..' in it"
)]
pub struct PathError(String);

impl std::str::FromStr for RootPath {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Self, PathError> {
        let sound =
            |name: &str| !matches!(name, "" | "." | "..") && !name.contains('\0') && name.len() <= 255;
        match text.strip_prefix('/') {
            Some(rest) if rest.split('/').all(sound) => Ok(Self(text.to_owned())),
            _ => Err(PathError(text.to_owned())),
        }
    }
}

impl RootPath {
    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The last component.
    pub fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }

    /// The path without its last component; `None` just below `/`.
    pub fn parent(&self) -> Option<Self> {
        match self.0.rsplit_once('/') {
            Some(("", _)) | None => None,
            Some((parent, _)) => Some(Self(parent.to_owned())),
        }
    }

    /// A name in this folder.
    ///
    /// # Errors
    /// When `name` is not one component.
    pub fn join(&self, name: &str) -> Result<Self, PathError> {
        format!("{}/{name}", self.0).parse()
    }
}

impl std::fmt::Display for RootPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_inside() {
        for good in ["/a", "/a/b.c", "/etc/...", "/ä"] {
            assert_eq!(good.parse::<RootPath>().unwrap().as_str(), good);
        }
        for bad in ["", "/", "a", "/a/", "//a", "/a//b", "/./a", "/a/..", "/a\0"] {
            let message = bad.parse::<RootPath>().unwrap_err().to_string();
            assert!(
                message.starts_with(&format!("'{bad}' is not a path inside the root file system")),
                "{message}"
            );
        }
    }

    #[test]
    fn paths_have_a_name_and_a_parent() {
        let path: RootPath = "/a/b/c".parse().unwrap();
        assert_eq!(path.name(), "c");
        assert_eq!(path.parent(), Some("/a/b".parse().unwrap()));
        assert_eq!("/a".parse::<RootPath>().unwrap().parent(), None);
        assert_eq!(path.join("d").unwrap().as_str(), "/a/b/c/d");
        assert!(path.join("..").is_err());
    }
}
