//! Medians and spreads.

use std::fmt;

/// The figures of one thing, one for each repetition.
#[derive(Debug, Clone, Default)]
pub struct Figures(Vec<f64>);

impl Figures {
    pub fn push(&mut self, figure: f64) {
        self.0.push(figure);
        self.0.sort_by(f64::total_cmp);
    }

    /// `None` when nothing was measured.
    pub fn median(&self) -> Option<f64> {
        let (count, middle) = (self.0.len(), self.0.len() / 2);
        match count {
            0 => None,
            _ if count % 2 == 1 => Some(self.0[middle]),
            _ => Some((self.0[middle - 1] + self.0[middle]) / 2.0),
        }
    }

    /// The least and the most, in words.
    pub fn spread(&self) -> String {
        match (self.0.first(), self.0.last()) {
            (Some(least), Some(most)) => format!("{}–{}", show(*least), show(*most)),
            _ => "–".into(),
        }
    }
}

impl FromIterator<f64> for Figures {
    fn from_iter<T: IntoIterator<Item = f64>>(figures: T) -> Self {
        let mut all = Figures::default();
        figures.into_iter().for_each(|figure| all.push(figure));
        all
    }
}

/// The median.
impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.median().map_or("–".into(), show))
    }
}

/// Three digits that count, or all before the point.
pub fn show(figure: f64) -> String {
    let decimals = match figure.abs() {
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        size if size >= 1.0 => 2,
        _ => 3,
    };
    format!("{figure:.decimals$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_or_between_the_two_middle_ones() {
        let median = |figures: &[f64]| figures.iter().copied().collect::<Figures>().median();
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 9.0]), Some(3.0));
        assert_eq!(median(&[]), None);
    }

    #[test]
    fn figures_are_shown_with_three_digits() {
        let figures: Figures = [0.1634, 15.52, 1234.5].into_iter().collect();
        assert_eq!(format!("{figures} {}", figures.spread()), "15.5 0.163–1234");
        assert_eq!(format!("{}", Figures::default()), "–");
    }
}
