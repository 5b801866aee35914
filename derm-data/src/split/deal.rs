//! Groups dealt out whole, so that every part gets its share of every class.

use std::collections::BTreeMap;

use super::EmptyClassPolicy;
use crate::portable_rng::PortableRng;
use crate::{Dataset, Error};

/// A lesion or patient with all its records.
struct Group {
    members: Vec<usize>,
    /// Records of each class.
    classes: Vec<usize>,
}

/// Deals the records at `indices` out to parts with these shares, by the rule of [`Split`](super::Split). Gives the
/// record indices of each part, in rising order.
pub(super) fn deal(
    dataset: &Dataset,
    indices: &[usize],
    shares: &[f64],
    mut rng: PortableRng,
    empty_class: EmptyClassPolicy,
) -> Result<Vec<Vec<usize>>, Error> {
    let mut groups = groups(dataset, indices);
    rng.shuffle(&mut groups);
    groups.sort_by_key(|group| std::cmp::Reverse(group.members.len()));
    if empty_class == EmptyClassPolicy::Refuse {
        for (class, name) in dataset.labels().names().iter().enumerate() {
            let count = groups.iter().filter(|group| group.classes[class] > 0).count();
            if count < shares.len() {
                return Err(Error::TooFewGroups { class: name.clone(), groups: count, needed: shares.len() });
            }
        }
    }
    let mut parts = vec![Vec::new(); shares.len()];
    for (group, part) in groups.iter().zip(assign(&groups, dataset.labels().num_classes(), shares)) {
        parts[part].extend_from_slice(&group.members);
    }
    for part in &mut parts {
        part.sort_unstable();
    }
    Ok(parts)
}

/// The groups of some records in alphabetical order of their names.
fn groups(dataset: &Dataset, indices: &[usize]) -> Vec<Group> {
    let num_classes = dataset.labels().num_classes();
    let mut groups: BTreeMap<&str, Group> = BTreeMap::new();
    for &index in indices {
        let record = &dataset.records()[index];
        let group = groups
            .entry(record.group())
            .or_insert_with(|| Group { members: Vec::new(), classes: vec![0; num_classes] });
        group.members.push(index);
        group.classes[record.class.get()] += 1;
    }
    groups.into_values().collect()
}

/// The part of each group.
fn assign(groups: &[Group], num_classes: usize, shares: &[f64]) -> Vec<usize> {
    let mut class_counts = vec![0; num_classes];
    for group in groups {
        for (sum, count) in class_counts.iter_mut().zip(&group.classes) {
            *sum += count;
        }
    }
    let records: usize = class_counts.iter().sum();
    let mut assigned: Vec<Option<usize>> = vec![None; groups.len()];
    let mut filled = vec![vec![0usize; num_classes]; shares.len()];
    let mut sizes = vec![0usize; shares.len()];

    let mut by_rarity: Vec<usize> = (0..num_classes).collect();
    by_rarity.sort_by_key(|&class| class_counts[class]);
    for class in by_rarity {
        let open: Vec<usize> = (0..groups.len())
            .filter(|&group| assigned[group].is_none() && groups[group].classes[class] > 0)
            .collect();
        for (dealt, &group) in open.iter().enumerate() {
            let lacking = filled.iter().filter(|part| part[class] == 0).count();
            let must_fill = open.len() - dealt <= lacking;
            let lack = |part: usize| {
                let of_class = shares[part] * class_counts[class] as f64 - filled[part][class] as f64;
                let of_all = shares[part] * records as f64 - sizes[part] as f64;
                (of_class, of_all)
            };
            let mut best: Option<usize> = None;
            for (part, in_part) in filled.iter().enumerate() {
                if must_fill && in_part[class] > 0 {
                    continue;
                }
                if best.is_none_or(|best| lack(part) > lack(best)) {
                    best = Some(part);
                }
            }
            let part = best.unwrap_or(0);
            assigned[group] = Some(part);
            sizes[part] += groups[group].members.len();
            for (sum, count) in filled[part].iter_mut().zip(&groups[group].classes) {
                *sum += count;
            }
        }
    }
    assigned.into_iter().map(|part| part.unwrap_or(0)).collect()
}
