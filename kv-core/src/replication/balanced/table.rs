use std::ops::{Index, IndexMut};

/// A vector over the members, zones or partitions of one request, which [`super::topology::Topology`] numbers from 0.
#[derive(Debug, Clone)]
pub(super) struct Table<T>(Vec<T>);

impl<T> Table<T> {
    pub(super) fn iter(&self) -> std::slice::Iter<'_, T> {
        self.0.iter()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

impl<T: Clone> Table<T> {
    pub(super) fn filled(length: usize, value: T) -> Self {
        Table(vec![value; length])
    }
}

impl<T> FromIterator<T> for Table<T> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        Table(items.into_iter().collect())
    }
}

// Indices come from the numbering of the same request and never from input.
#[allow(clippy::indexing_slicing)]
impl<T> Index<usize> for Table<T> {
    type Output = T;

    fn index(&self, index: usize) -> &T {
        &self.0[index]
    }
}

#[allow(clippy::indexing_slicing)]
impl<T> IndexMut<usize> for Table<T> {
    fn index_mut(&mut self, index: usize) -> &mut T {
        &mut self.0[index]
    }
}
