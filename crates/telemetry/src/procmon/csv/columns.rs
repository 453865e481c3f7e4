//! Which column holds what.

/// What is read of a record, by the name of its column in English.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Column {
    TimeOfDay,
    ProcessName,
    Pid,
    Operation,
    Path,
    Result,
    Detail,
    DateTime,
    ImagePath,
    CommandLine,
    Tid,
    ParentPid,
    Architecture,
}

/// The columns that Procmon shows as it is installed come first, in its order.
const NAMES: [(Column, &str); 13] = [
    (Column::TimeOfDay, "Time of Day"),
    (Column::ProcessName, "Process Name"),
    (Column::Pid, "PID"),
    (Column::Operation, "Operation"),
    (Column::Path, "Path"),
    (Column::Result, "Result"),
    (Column::Detail, "Detail"),
    (Column::DateTime, "Date & Time"),
    (Column::ImagePath, "Image Path"),
    (Column::CommandLine, "Command Line"),
    (Column::Tid, "TID"),
    (Column::ParentPid, "Parent PID"),
    (Column::Architecture, "Architecture"),
];
const DEFAULT: usize = 7;

/// Where the columns of a file are.
#[derive(Debug)]
pub(super) struct Columns {
    places: [Option<usize>; NAMES.len()],
    /// How many there are.
    pub(super) count: usize,
}

impl Columns {
    /// By their names; `None` where those without which nothing can be told are not among them.
    pub(super) fn by_name<'a>(header: impl Iterator<Item = &'a str>) -> Option<Self> {
        let mut columns = Self { places: [None; NAMES.len()], count: 0 };
        for (place, name) in header.enumerate() {
            columns.count += 1;
            let known = NAMES.iter().find(|(_, known)| known.eq_ignore_ascii_case(name.trim()));
            if let Some((column, _)) = known {
                columns.places[*column as usize].get_or_insert(place);
            }
        }
        let needed = [Column::Operation, Column::Pid, Column::Detail];
        needed.iter().all(|column| columns.place(*column).is_some()).then_some(columns)
    }

    /// By their order as Procmon is installed, for headers in another language.
    pub(super) fn by_position(count: usize) -> Option<Self> {
        let place = |place: usize| (place < DEFAULT).then_some(place);
        (count >= DEFAULT).then(|| Self { places: std::array::from_fn(place), count })
    }

    pub(super) fn place(&self, column: Column) -> Option<usize> {
        self.places[column as usize]
    }
}

/// The name of a column, for people.
pub(super) fn name(column: Column) -> &'static str {
    NAMES[column as usize].1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_column_is_at_its_place_in_the_table() {
        assert!(NAMES.iter().enumerate().all(|(place, (column, _))| *column as usize == place));
    }

    #[test]
    fn columns_are_found_by_name_in_any_order() {
        let columns = Columns::by_name(["detail", "PID", " Operation ", "x", "PID"].into_iter()).unwrap();
        assert_eq!(
            (columns.count, columns.place(Column::Pid), columns.place(Column::Path)),
            (5, Some(1), None)
        );
        assert!(Columns::by_name(["PID", "Operation"].into_iter()).is_none());
        let columns = Columns::by_position(8).unwrap();
        assert_eq!((columns.place(Column::Detail), columns.place(Column::Tid)), (Some(6), None));
        assert!(Columns::by_position(6).is_none());
    }
}
