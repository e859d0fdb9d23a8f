//! The name of a container image.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A container image's name with its tag or digest, such as `cluster-lab/consul:1.8.7`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ImageReference(String);

/// A text that is no image's name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not the name of a container image: write NAME:TAG, such as registry.example/consul:1.8")]
pub struct ImageReferenceError(String);

impl FromStr for ImageReference {
    type Err = ImageReferenceError;

    /// Docker has the last word on it; here it is only kept from meaning something else in a request's path.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fits = |c: char| c.is_ascii_alphanumeric() || "._-/:@".contains(c);
        let starts = text.starts_with(|c: char| c.is_ascii_alphanumeric());
        let name = text.rsplit('/').next().unwrap_or_default();
        if text.len() <= 255
            && starts
            && text.chars().all(fits)
            && !text.contains("..")
            && name.contains([':', '@'])
        {
            Ok(Self(text.to_owned()))
        } else {
            Err(ImageReferenceError(text.to_owned()))
        }
    }
}

impl TryFrom<String> for ImageReference {
    type Error = ImageReferenceError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<ImageReference> for String {
    fn from(reference: ImageReference) -> Self {
        reference.0
    }
}

impl std::fmt::Display for ImageReference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_a_tag_or_a_digest() {
        for good in [
            "consul:1.8",
            "lab/consul:1.20.1",
            "registry.example:5000/a/b:c",
            "a@sha256:00ff",
        ] {
            assert_eq!(good.parse::<ImageReference>().unwrap().to_string(), good);
        }
        for bad in [
            "",
            "consul",
            "registry.example:5000/consul",
            "a b:1",
            "../x:1",
            "a?b:1",
            ":1",
        ] {
            let message = bad.parse::<ImageReference>().unwrap_err().to_string();
            assert!(
                message.starts_with(&format!("'{bad}' is not the name of")),
                "{message}"
            );
        }
    }
}
