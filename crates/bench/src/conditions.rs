//! What every builder has: what is unusual about how drivers are told.

/// The methods of a builder that has a field `conditions`.
macro_rules! conditions {
    () => {
        /// What is unusual about the way in which drivers are told of this.
        pub fn conditions(mut self, conditions: event::Conditions) -> Self {
            self.conditions = conditions;
            self
        }

        /// Thread routines run at APC_LEVEL (R-CTX-03).
        pub fn at_apc_level(mut self) -> Self {
            self.conditions.apc_level = true;
            self
        }

        /// Image routines run with all APCs disabled (R-CTX-02).
        pub fn all_apcs_disabled(mut self) -> Self {
            self.conditions.all_apcs_disabled = true;
            self
        }

        /// Names are counted strings without a NUL behind them (R-PCI-03, R-FN-08).
        pub fn unterminated_names(mut self) -> Self {
            self.conditions.unterminated_names = true;
            self
        }

        /// The memory of the process is gone when a routine touches it (L-07).
        pub fn user_pages_gone(mut self) -> Self {
            self.conditions.user_pages_gone = true;
            self
        }
    };
}
