//! Dealing a file's rows to training, validation and testing.

use super::amount::Amount;
use super::duplicates::key_of;
use super::error::{Error, Result};
use super::load::{Dataset, Example};
use super::sizes::{Own, SplitOptions};
use super::stratify::{draw, shuffle};
use super::summary::Summary;
use std::collections::BTreeSet;

/// Labelled rows in three parts that share no row.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Split {
    /// Rows to train on, in random order.
    pub train: Vec<Example>,
    /// Rows to choose the best epoch by, in random order; may be none.
    pub validation: Vec<Example>,
    /// Rows to test on: in random order, or in the test file's if all of that is used; may be none.
    pub test: Vec<Example>,
}

/// Rows that have files of their own, beside those to train on.
#[derive(Debug)]
pub struct Beside<'a, D> {
    /// Those that choose the epoch.
    pub validation: Option<&'a D>,
    /// Those to test on.
    pub test: Option<&'a D>,
}

// Derived, these would ask the same of D.
impl<D> Clone for Beside<'_, D> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<D> Copy for Beside<'_, D> {}

impl<D> Default for Beside<'_, D> {
    fn default() -> Self {
        Self { validation: None, test: None }
    }
}

impl<'a, D> Beside<'a, D> {
    /// What is beside, whatever it is for.
    pub(super) fn all(self) -> impl Iterator<Item = &'a D> {
        self.validation.into_iter().chain(self.test)
    }

    /// What is dealt from the files beside: of each as many rows as asked for, and for validation none that is
    /// tested on.
    ///
    /// # Errors
    /// Fewer rows than asked for.
    pub(super) fn parts(
        self,
        options: &SplitOptions,
        random: &mut dyn FnMut() -> u64,
    ) -> Result<OwnParts<D::Example>>
    where
        D: Rows,
    {
        let test = self.test.map(|file| {
            let all = file.rows_not_in(std::iter::empty());
            file.some(all, (options.test, "testing"), random)
        });
        let validation = self.validation.map(|file| {
            let rows = file.rows_not_in(self.test.into_iter());
            file.some(rows, (options.validation, "validation"), random)
        });
        Ok(OwnParts { test: test.transpose()?, validation: validation.transpose()? })
    }
}

/// Parts that have files of their own; none where one has not.
pub(super) struct OwnParts<E> {
    pub(super) validation: Option<Vec<E>>,
    pub(super) test: Option<Vec<E>>,
}

/// Rows that can be dealt, of any task.
pub(super) trait Rows {
    /// A row.
    type Example;

    /// The rows that do not stand in other files.
    fn rows_not_in<'a>(&self, others: impl Iterator<Item = &'a Self>) -> Vec<usize>
    where
        Self: 'a;

    /// As many of these rows as asked for; all, in their order, if nothing is.
    fn some(
        &self,
        pool: Vec<usize>,
        asked: (Option<Amount>, &str),
        random: &mut dyn FnMut() -> u64,
    ) -> Result<Vec<Self::Example>>;
}

impl Dataset {
    /// Splits the rows at random, every class with its share (numbers plainly): the test rows are drawn first, then those for
    /// validation, then those for training, and each class is within one row of its share of the rows drawn
    /// from. When only the number of training rows changes, a seed keeps its test rows, and fewer training
    /// rows are a part of more (but for a row or two a class).
    ///
    /// For what has a file of its own, nothing is drawn. Rows that stand there too are left out here, and those
    /// of the test file in the one for validation: nothing is tested that was trained on or chosen by. `random`
    /// gives 64 random bits a call; the same bits give the same split.
    ///
    /// # Errors
    /// Fewer rows than asked for, or none left for training or testing.
    pub fn split(
        &self,
        options: &SplitOptions,
        beside: Beside<'_, Self>,
        random: &mut dyn FnMut() -> u64,
    ) -> Result<(Split, Summary)> {
        let mut pool = self.rows_not_in(beside.all());
        let elsewhere = self.examples.len() - pool.len();
        let sizes = options.sizes(&self.file, pool.len(), Own::of(&beside))?;
        shuffle(&mut pool, random);
        let drawn = self.draw(&mut pool, sizes.test);
        // From the other end, so that the training rows begin at the same row however many are for
        // validation.
        pool.reverse();
        let drawn_validation = self.draw(&mut pool, sizes.validation);
        pool.reverse();
        let mut train = self.draw(&mut pool, sizes.train);
        let own = beside.parts(options, random)?;
        // What a class had too many of among the rows before stands together at the beginning. Last, so that the
        // other parts do not depend on how many rows these are.
        shuffle(&mut train, random);
        let validation = own.validation.unwrap_or(drawn_validation);
        let split = Split { train, validation, test: own.test.unwrap_or(drawn) };
        let summary = Summary::new(self, beside, &split, [elsewhere, pool.len()]);
        Ok((split, summary))
    }

    fn draw(&self, pool: &mut Vec<usize>, size: usize) -> Vec<Example> {
        let rows = draw(pool, &self.examples, self.labels.len(), size);
        rows.into_iter().map(|row| self.examples[row].clone()).collect()
    }
}

impl Rows for Dataset {
    type Example = Example;

    /// Those with other texts.
    fn rows_not_in<'a>(&self, others: impl Iterator<Item = &'a Self>) -> Vec<usize> {
        let others: BTreeSet<_> = others.flat_map(|other| other.examples.iter().map(key_of)).collect();
        (0..self.examples.len()).filter(|row| !others.contains(&key_of(&self.examples[*row]))).collect()
    }

    fn some(
        &self,
        mut pool: Vec<usize>,
        (amount, what): (Option<Amount>, &str),
        random: &mut dyn FnMut() -> u64,
    ) -> Result<Vec<Example>> {
        let size = asked(&self.file, pool.len(), amount, what)?;
        if size == pool.len() {
            return Ok(pool.into_iter().map(|row| self.examples[row].clone()).collect());
        }
        shuffle(&mut pool, random);
        Ok(self.draw(&mut pool, size))
    }
}

/// How many of a file's rows are used, of which so many can be.
pub(super) fn asked(file: &str, rows: usize, amount: Option<Amount>, what: &str) -> Result<usize> {
    let size = amount.map_or(rows, |amount| amount.of(rows));
    let asked = || amount.map(|amount| format!("{amount} for {what}")).unwrap_or_default();
    if size > rows {
        return Err(Error::TooFewRows { file: file.to_owned(), rows, asked: asked() });
    }
    Ok(size)
}

#[cfg(test)]
mod tests {
    use super::super::labels::Labels;
    use super::*;
    use proptest::prelude::*;

    /// Rows of the given numbers per class, class by class; row n has the text `n` and stands on line n + 2.
    fn dataset(counts: &[usize]) -> Dataset {
        let classes = (0..).zip(counts).flat_map(|(class, count)| std::iter::repeat_n(class, *count));
        let example = |(row, label): (usize, u32)| {
            let text = row.to_string();
            Example { text, pair: None, label: label.into(), line: row + 2 }
        };
        let labels = Labels { names: (0..counts.len()).map(|class| format!("c{class}")).collect() };
        Dataset::of("a.csv", classes.enumerate().map(example).collect(), labels)
    }

    /// SplitMix64.
    fn random(mut state: u64) -> impl FnMut() -> u64 {
        move || {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ (z >> 31)
        }
    }

    fn split(data: &Dataset, options: &str, test: Option<&Dataset>, seed: u64) -> Result<(Split, Summary)> {
        let beside = Beside { validation: None, test };
        data.split(&toml::from_str(options).unwrap(), beside, &mut random(seed))
    }

    fn lines(examples: &[Example]) -> Vec<usize> {
        examples.iter().map(|example| example.line).collect()
    }

    proptest! {
        #[test]
        fn a_split_is_a_partition_with_the_classes_shares(
            counts in prop::collection::vec(1_usize..60, 2..6),
            seed: u64,
        ) {
            let data = dataset(&counts);
            let (split, summary) = split(&data, "", None, seed).unwrap();
            let parts = [&split.train, &split.validation, &split.test];
            let mut rows: Vec<usize> = parts.map(|part| lines(part)).concat();
            rows.sort_unstable();
            prop_assert_eq!(rows, lines(&data.examples));
            let share = split.test.len() as f64 / data.examples.len() as f64;
            for (class, count) in summary.classes.iter().zip(&counts) {
                prop_assert_eq!(class.train + class.validation + class.test, *count);
                prop_assert!((class.test as f64 - share * *count as f64).abs() < 1.0);
            }
        }
    }

    #[test]
    fn rows_with_numbers_are_dealt_plainly() {
        let mut data = dataset(&[90]);
        data.labels = Labels::default();
        for (row, example) in data.examples.iter_mut().enumerate() {
            example.label = f64::from(row as u32 % 9).into();
        }
        let (split, summary) = split(&data, "", None, 1).unwrap();
        let parts = [&split.train, &split.validation, &split.test];
        let mut rows: Vec<usize> = parts.map(|part| lines(part)).concat();
        rows.sort_unstable();
        assert_eq!(rows, lines(&data.examples));
        assert_eq!(parts.map(Vec::len), [65, 7, 18]);
        let said = summary.to_string();
        assert!(
            said.contains("test: 18 rows (numbers from 0 to 8, mean ") && !said.contains("no row"),
            "{said}"
        );
    }

    #[test]
    fn a_seed_is_a_split() {
        let data = dataset(&[40, 60]);
        let of = |seed| split(&data, "", None, seed).unwrap().0;
        assert_eq!(of(1), of(1));
        assert_ne!(of(1), of(2));
        assert!(!lines(&of(1).train).is_sorted());
    }

    #[test]
    fn training_rows_do_not_begin_with_those_of_one_class() {
        let data = dataset(&[600, 600]);
        let of_one_class = |seed| {
            let train = split(&data, "test = 400", None, seed).unwrap().0.train;
            let first: u32 = train[..10].iter().filter_map(|example| example.label.class()).sum();
            first == 0 || first == 10
        };
        // Ten fair coins agree once in 512 throws.
        assert!((0..200).filter(|&seed| of_one_class(seed)).count() < 8);
    }

    #[test]
    fn fewer_training_rows_keep_the_test_rows_and_are_a_part_of_more() {
        let data = dataset(&[400, 600]);
        let of = |options: &str| split(&data, options, None, 3).unwrap().0;
        let (few, many) = (of("train = 100\nvalidation = 100"), of("train = 500\nvalidation = 100"));
        assert_eq!((&few.test, &few.validation), (&many.test, &many.validation));
        assert_eq!((few.train.len(), many.train.len()), (100, 500));
        assert!(few.train.iter().all(|example| many.train.contains(example)));
        // Validation that follows the number of training rows does not disturb that.
        let (few, many) = (of("train = 100"), of("train = 500"));
        assert_eq!((few.test, few.validation.len(), many.validation.len()), (many.test, 10, 50));
        assert!(few.train.iter().all(|example| many.train.contains(example)));
    }

    #[test]
    fn a_test_file_is_taken_whole_and_its_rows_are_not_trained_on() {
        let (data, test) = (dataset(&[50, 50]), dataset(&[3, 0]));
        let (split_, summary) = split(&data, "", Some(&test), 0).unwrap();
        assert_eq!(split_.test, test.examples);
        assert_eq!((summary.elsewhere, split_.train.len(), split_.validation.len()), (3, 88, 9));
        assert!(!lines(&split_.train).contains(&2));
        assert_eq!(split(&data, "test = 2", Some(&test), 0).unwrap().0.test.len(), 2);
        let error = split(&data, "test = 4", Some(&test), 0).unwrap_err().to_string();
        assert!(error.contains("has 3 rows") && error.contains("4 for testing"), "{error}");
    }

    #[test]
    fn a_validation_file_is_taken_but_for_what_is_tested() {
        let (data, validation, test) = (dataset(&[50, 50]), dataset(&[6, 0]), dataset(&[2, 0]));
        let beside = Beside { validation: Some(&validation), test: Some(&test) };
        let split = |options: &str| data.split(&toml::from_str(options).unwrap(), beside, &mut random(1));
        let (parts, summary) = split("").unwrap();
        assert_eq!((lines(&parts.validation), lines(&parts.test)), (vec![4, 5, 6, 7], vec![2, 3]));
        assert_eq!((parts.train.len(), summary.elsewhere), (94, 6));
        assert!(lines(&parts.train).iter().all(|line| *line > 7));
        let said = summary.to_string();
        assert!(said.contains("100 rows, 6 in the other files too; 94 used"), "{said}");
        assert!(said.contains("a.csv: 6 rows, 2 in the test file too; 4 used"), "{said}");
        assert_eq!(split("validation = 0.5").unwrap().0.validation.len(), 2);
        assert!(split("validation = 5").unwrap_err().to_string().contains("has 4 rows"));
        let beside = Beside { validation: Some(&validation), test: None };
        let parts = data.split(&SplitOptions::default(), beside, &mut random(1)).unwrap().0;
        assert_eq!([&parts.train, &parts.validation, &parts.test].map(Vec::len), [76, 6, 18]);
    }

    #[test]
    fn the_summary_says_what_became_of_the_rows() {
        let data = dataset(&[60, 40]);
        let summary = split(&data, "train = 50\ntest = 10", None, 0).unwrap().1;
        assert_eq!(
            summary.to_string(),
            "a.csv: 100 rows, 35 not needed; 65 used\n\
             train: 50 rows (`c0` 30, `c1` 20)\n\
             validation: 5 rows (`c0` 3, `c1` 2)\n\
             test: 10 rows (`c0` 6, `c1` 4)\n"
        );
        let rare = split(&dataset(&[100, 1]), "train = 3\nvalidation = 0", None, 0).unwrap().1;
        assert_eq!(rare.untrained().collect::<Vec<_>>(), ["c1"]);
        let said = rare.to_string();
        assert!(
            said.contains("validation: no rows\n") && said.ends_with("no row to train on: `c1`\n"),
            "{said}"
        );
        let many = split(&dataset(&[10; 12]), "", None, 0).unwrap().1.to_string();
        assert!(many.contains("test: 24 rows in 12 classes of 2 to 2 rows"), "{many}");
    }
}
