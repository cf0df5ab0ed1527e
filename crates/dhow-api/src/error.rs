//! The body of every error answer.

wire! {"lowercase";
    /// `{"message": …}`, sent with a 4xx or 5xx status.
    pub struct ErrorResponse {
        pub message: String,
    }
}
