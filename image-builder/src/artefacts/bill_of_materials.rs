//! What was added to the base, as an SPDX 2.3 document (`NAME.img.spdx.json`). Files are listed as packages of purpose FILE: as
//! files they would need a SHA-1 each.

use anyhow::{Context as _, Result};
use disk_image::timestamp::Timestamp;
use serde_json::{Value, json};

use crate::release::{Added, Content, ImageFile, Manifest};

const IMAGE: &str = "SPDXRef-image";
const BASE: &str = "SPDXRef-base";
const AGENT: &str = "/usr/bin/cluster-lab";

/// The document's text.
pub(super) fn text(manifest: &Manifest) -> Result<String> {
    let mut packages = vec![
        image(IMAGE, &manifest.image, "OPERATING-SYSTEM"),
        image(BASE, &manifest.base, "OPERATING-SYSTEM"),
    ];
    let mut relationships = vec![
        relationship("SPDXRef-DOCUMENT", "DESCRIBES", IMAGE),
        relationship(IMAGE, "DESCENDANT_OF", BASE),
    ];
    let added = manifest.boot.iter().map(|added| ("boot:", added));
    let added = added.chain(manifest.root.iter().map(|added| ("", added)));
    for (place, Added { path, content, .. }) in added {
        let Content::File { sha256, .. } = content else {
            continue;
        };
        let id = format!("SPDXRef-added-{}", packages.len() - 1);
        let agent = path == AGENT;
        let mut package = json!({
            "SPDXID": id,
            "name": format!("{place}{path}"),
            "downloadLocation": "NOASSERTION",
            "filesAnalyzed": false,
            "licenseDeclared": if agent { "Apache-2.0 OR MIT" } else { "NOASSERTION" },
            "primaryPackagePurpose": if agent { "APPLICATION" } else { "FILE" },
            "checksums": [{ "algorithm": "SHA256", "checksumValue": sha256 }],
        });
        if agent {
            package["versionInfo"] = json!(env!("CARGO_PKG_VERSION"));
        }
        packages.push(package);
        relationships.push(relationship(IMAGE, "CONTAINS", &id));
    }
    let name = &manifest.image.name;
    let created = Timestamp::from_epoch(manifest.source_date_epoch).to_string();
    let document = json!({
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": name,
        "documentNamespace": format!("https://spdx.org/spdxdocs/{name}-{}", manifest.image.sha256),
        "creationInfo": {
            "created": format!("{}Z", created.replace(' ', "T")),
            "creators": [format!("Tool: {}", manifest.tool.replace(' ', "-"))],
        },
        "packages": packages,
        "relationships": relationships,
    });
    let text = serde_json::to_string_pretty(&document).context("writing the bill of materials")?;
    Ok(text + "\n")
}

fn image(id: &str, image: &ImageFile, purpose: &str) -> Value {
    json!({
        "SPDXID": id,
        "name": image.name,
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": false,
        "primaryPackagePurpose": purpose,
        "checksums": [{ "algorithm": "SHA256", "checksumValue": image.sha256 }],
    })
}

fn relationship(from: &str, kind: &str, to: &str) -> Value {
    json!({ "spdxElementId": from, "relationshipType": kind, "relatedSpdxElement": to })
}
