//! Pages handed out as chains over memory taken at start.
//!
//! A chain keeps a model's pages in the model's order. Links live in one array, indexed by page,
//! so chains of any length are taken and given back without allocating, giving back in one step.

/// A page of the worker's locked host memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostPage(pub u32);

/// A weight page of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DevicePage(pub u32);

/// Pages in order, owned by whoever holds the chain. Never copied: it goes back by value.
#[derive(Debug, PartialEq, Eq)]
pub struct Chain {
    head: u32,
    tail: u32,
    len: u32,
}

impl Chain {
    /// The first page.
    pub fn head(&self) -> u32 {
        self.head
    }

    /// How many pages it has, at least one.
    pub fn pages(&self) -> u32 {
        self.len
    }
}

/// A pool of pages of fixed number.
#[derive(Debug)]
pub struct PagePool {
    next: Box<[u32]>,
    free: Option<Chain>,
}

/// The link of the last page of a chain.
const END: u32 = u32::MAX;

impl PagePool {
    /// `pages` free pages.
    pub fn new(pages: u32) -> PagePool {
        assert!(pages < END, "pages are numbered by u32");
        let next = (0..pages).map(|page| if page + 1 == pages { END } else { page + 1 }).collect();
        let free = (pages > 0).then(|| Chain { head: 0, tail: pages - 1, len: pages });
        PagePool { next, free }
    }

    /// How many pages are free.
    pub fn free(&self) -> u32 {
        self.free.as_ref().map_or(0, |chain| chain.len)
    }

    /// How many pages there are.
    #[expect(clippy::cast_possible_truncation, reason = "checked at construction")]
    pub fn total(&self) -> u32 {
        self.next.len() as u32
    }

    /// Takes `wanted` pages, at least one; none if fewer are free.
    pub fn take(&mut self, wanted: u32) -> Option<Chain> {
        assert!(wanted > 0, "a chain has at least one page");
        let free = self.free.take_if(|free| free.len >= wanted)?;
        let mut tail = free.head;
        for _ in 1..wanted {
            tail = self.next[tail as usize];
        }
        if free.len > wanted {
            self.free = Some(Chain { head: self.next[tail as usize], tail: free.tail, len: free.len - wanted });
        }
        self.next[tail as usize] = END;
        Some(Chain { head: free.head, tail, len: wanted })
    }

    /// Gives a chain back.
    pub fn give(&mut self, chain: Chain) {
        self.free = Some(match self.free.take() {
            None => chain,
            Some(free) => {
                self.next[chain.tail as usize] = free.head;
                Chain { head: chain.head, tail: free.tail, len: chain.len + free.len }
            }
        });
        assert!(self.free() <= self.total(), "more pages came back than there are");
    }

    /// The page after `page` in its chain.
    pub fn after(&self, page: u32) -> Option<u32> {
        let next = self.next[page as usize];
        (next != END).then_some(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn walk(pool: &PagePool, chain: &Chain) -> Vec<u32> {
        std::iter::successors(Some(chain.head()), |&page| pool.after(page)).collect()
    }

    proptest! {
        #[test]
        fn every_page_is_in_one_place(takes in prop::collection::vec((1u32..9, any::<bool>()), 1..64)) {
            let mut pool = PagePool::new(24);
            let mut held: Vec<Chain> = Vec::new();
            for (wanted, give_first) in takes {
                if give_first && !held.is_empty() {
                    pool.give(held.swap_remove(0));
                }
                let free = pool.free();
                match pool.take(wanted) {
                    Some(chain) => held.push(chain),
                    None => prop_assert!(free < wanted),
                }
                let mut pages: Vec<u32> = held.iter().flat_map(|chain| walk(&pool, chain)).collect();
                prop_assert_eq!(pages.len() + pool.free() as usize, 24);
                prop_assert_eq!(held.iter().map(Chain::pages).sum::<u32>(), 24 - pool.free());
                pages.sort_unstable();
                pages.dedup();
                prop_assert_eq!(pages.len() + pool.free() as usize, 24);
            }
        }
    }
}
