//! The syntax tree. Positions are byte offsets in the template's text.

/// One node of a template's body.
#[derive(Debug, Clone)]
pub(crate) enum Node {
    Text(String),
    Action(Pipeline),
    If(Branch),
    With(Branch),
    Range(Branch),
    Template {
        at: usize,
        name: String,
        data: Option<Pipeline>,
    },
    Break,
    Continue,
}

/// `if`, `with` or `range`: the condition and the two bodies.
#[derive(Debug, Clone)]
pub(crate) struct Branch {
    pub(crate) pipeline: Pipeline,
    pub(crate) body: Vec<Node>,
    pub(crate) otherwise: Vec<Node>,
}

/// Commands whose results are handed on, and the variables the result is kept in.
#[derive(Debug, Clone)]
pub(crate) struct Pipeline {
    pub(crate) at: usize,
    pub(crate) variables: Vec<String>,
    /// `=` instead of `:=`.
    pub(crate) assigns: bool,
    pub(crate) commands: Vec<Command>,
}

/// An operand, or a function with its arguments.
#[derive(Debug, Clone)]
pub(crate) struct Command {
    pub(crate) at: usize,
    /// The command as Go prints it in errors.
    pub(crate) source: String,
    pub(crate) operands: Vec<Operand>,
}

/// One operand with the place and text Go's errors name it by.
#[derive(Debug, Clone)]
pub(crate) struct Operand {
    pub(crate) at: usize,
    pub(crate) source: String,
    pub(crate) kind: OperandKind,
}

#[derive(Debug, Clone)]
pub(crate) enum OperandKind {
    Dot,
    Nil,
    Bool(bool),
    Int(i128),
    Float(f64),
    Text(String),
    /// `.A.B`
    Field(Vec<String>),
    /// `$x.A`, the name with its dollar sign.
    Variable(String, Vec<String>),
    Function(String),
    /// `(pipeline).A`
    Pipeline(Box<Pipeline>, Vec<String>),
}
