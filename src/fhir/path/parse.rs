//! From text to steps: operator precedence as in FHIRPath N1 section 6.8.

use std::{borrow::Cow, sync::OnceLock};

use super::{
    ParseError,
    expr::{Arguments, Comparison, Expr, Function, Once, Operator, Pattern, TypeTest, Variable},
    item::{Measure, Quantity, System, UCUM, Value},
    lex::{Lexer, Token},
    names::Name,
    temporal::Unit,
};
use crate::fhir::definition::types::r4;

/// Steps inside one another, brackets and chains alike. Whatever walks an expression needs no more stack than this.
const MAX_DEPTH: usize = 128;
/// Bytes.
const MAX_LENGTH: usize = 64 * 1024;

/// How tightly operators bind.
mod power {
    pub const IMPLIES: u8 = 1;
    pub const OR: u8 = 2;
    pub const AND: u8 = 3;
    pub const MEMBERSHIP: u8 = 4;
    pub const EQUALITY: u8 = 5;
    pub const INEQUALITY: u8 = 6;
    pub const UNION: u8 = 7;
    pub const TYPE: u8 = 8;
    pub const ADDITIVE: u8 = 9;
    pub const MULTIPLICATIVE: u8 = 10;
    pub const POLARITY: u8 = 11;
}

/// Parses an expression. Also how many [`Expr::Once`] slots it has.
pub fn parse(text: &str) -> Result<(Expr, usize), ParseError> {
    if text.len() > MAX_LENGTH {
        return Err(ParseError { message: format!("an expression of more than {MAX_LENGTH} bytes"), at: 0 });
    }
    let mut parser = Parser { lexer: Lexer::new(text), token: Token::End, at: 0, brackets: 0, slots: 0 };
    parser.advance()?;
    let found = parser.expression(0)?;
    if parser.token != Token::End {
        return Err(parser.error("an operator or the end"));
    }
    let whole = parser.once(found, false);
    Ok((whole.expr, parser.slots))
}

/// An expression and what is known of it while parsing.
struct Part {
    expr: Expr,
    depth: usize,
    /// Whether it gives the same whatever it is evaluated on.
    is_fixed: bool,
}

impl Part {
    fn leaf(expr: Expr) -> Self {
        let is_fixed = !matches!(expr, Expr::This | Expr::Position | Expr::Total | Expr::Head(_));
        Self { expr, depth: 1, is_fixed }
    }
}

struct Parser<'t> {
    lexer: Lexer<'t>,
    token: Token<'t>,
    /// Where the token begins.
    at: usize,
    brackets: usize,
    slots: usize,
}

impl<'t> Parser<'t> {
    fn error(&self, expected: &str) -> ParseError {
        ParseError { message: format!("expected {expected}"), at: self.at }
    }

    fn advance(&mut self) -> Result<Token<'t>, ParseError> {
        self.lexer.space()?;
        self.at = self.lexer.at();
        let next = self.lexer.next()?;
        Ok(std::mem::replace(&mut self.token, next))
    }

    fn is_sign(&self, sign: &str) -> bool {
        matches!(self.token, Token::Sign(found) if found == sign)
    }

    fn expect(&mut self, sign: &'static str) -> Result<(), ParseError> {
        if !self.is_sign(sign) {
            return Err(self.error(&format!("'{sign}'")));
        }
        self.advance().map(drop)
    }

    /// A step over others.
    fn over(&self, expr: Expr, depth: usize, is_fixed: bool) -> Result<Part, ParseError> {
        if depth >= MAX_DEPTH {
            return Err(ParseError { message: format!("more than {MAX_DEPTH} steps inside one another"), at: self.at });
        }
        Ok(Part { expr, depth: depth + 1, is_fixed })
    }

    /// Marks what is computed only once, unless it costs nothing anyway.
    fn once(&mut self, part: Part, is_repeated: bool) -> Part {
        let is_cheap = matches!(
            part.expr,
            Expr::Literal(_) | Expr::Nothing | Expr::Variable(_) | Expr::Pattern(_) | Expr::Once(_)
        );
        if !part.is_fixed || is_cheap {
            return part;
        }
        let slot = self.slots;
        self.slots += 1;
        let mut body = part.expr;
        let is_shared = is_shared(&mut body);
        Part { expr: Expr::Once(Box::new(Once { slot, body, is_repeated, is_set: false, is_shared })), ..part }
    }

    fn expression(&mut self, least: u8) -> Result<Part, ParseError> {
        let mut left = self.prefix()?;
        while let Some((power, name)) = self.operator().filter(|(power, _)| *power > least) {
            self.advance()?;
            if power == power::TYPE {
                let test = self.type_test(true)?;
                let of = Box::new(left.expr);
                let expr = if name == "is" { Expr::Is { of, test } } else { Expr::OfType { of, test } };
                left = self.over(expr, left.depth, left.is_fixed)?;
                continue;
            }
            let right = self.expression(power)?;
            left = self.binary(name, left, right)?;
        }
        Ok(left)
    }

    /// The operator at hand.
    fn operator(&self) -> Option<(u8, &'static str)> {
        let name = match &self.token {
            Token::Sign(sign) => sign,
            Token::Word(word) => *word,
            _ => return None,
        };
        Some(match name {
            "implies" => (power::IMPLIES, "implies"),
            "or" => (power::OR, "or"),
            "xor" => (power::OR, "xor"),
            "and" => (power::AND, "and"),
            "in" => (power::MEMBERSHIP, "in"),
            "contains" => (power::MEMBERSHIP, "contains"),
            "=" => (power::EQUALITY, "="),
            "~" => (power::EQUALITY, "~"),
            "!=" => (power::EQUALITY, "!="),
            "!~" => (power::EQUALITY, "!~"),
            "<" => (power::INEQUALITY, "<"),
            "<=" => (power::INEQUALITY, "<="),
            ">" => (power::INEQUALITY, ">"),
            ">=" => (power::INEQUALITY, ">="),
            "|" => (power::UNION, "|"),
            "is" => (power::TYPE, "is"),
            "as" => (power::TYPE, "as"),
            "+" => (power::ADDITIVE, "+"),
            "-" => (power::ADDITIVE, "-"),
            "&" => (power::ADDITIVE, "&"),
            "*" => (power::MULTIPLICATIVE, "*"),
            "/" => (power::MULTIPLICATIVE, "/"),
            "div" => (power::MULTIPLICATIVE, "div"),
            "mod" => (power::MULTIPLICATIVE, "mod"),
            _ => return None,
        })
    }

    fn binary(&mut self, name: &str, left: Part, right: Part) -> Result<Part, ParseError> {
        // Where one side varies, the other is computed once.
        let (left, right) = match (left.is_fixed, right.is_fixed) {
            (true, false) => (self.once(left, false), right),
            (false, true) => (left, self.once(right, false)),
            _ => (left, right),
        };
        let is_fixed = left.is_fixed && right.is_fixed;
        let depth = left.depth.max(right.depth);
        // Chains of these are flat, so that they may be long.
        let chained = match (name, left.expr) {
            ("|", Expr::Union(mut parts)) => {
                parts.push(right.expr);
                Ok(Expr::Union(parts))
            }
            ("or", Expr::Any(mut parts)) => {
                parts.push(right.expr);
                Ok(Expr::Any(parts))
            }
            ("and", Expr::All(mut parts)) => {
                parts.push(right.expr);
                Ok(Expr::All(parts))
            }
            ("|", left) => Err(Expr::Union(vec![left, right.expr])),
            ("or", left) => Err(Expr::Any(vec![left, right.expr])),
            ("and", left) => Err(Expr::All(vec![left, right.expr])),
            (_, left) => Err(pair(name, left, right.expr)),
        };
        let chained = chained.map_err(|mut expr| {
            if let Expr::In { set, .. } = &mut expr {
                searched(set);
            }
            expr
        });
        match chained {
            Ok(expr) => Ok(Part { expr, depth: left.depth.max(right.depth + 1), is_fixed }),
            Err(expr) => self.over(expr, depth, is_fixed),
        }
    }

    fn prefix(&mut self) -> Result<Part, ParseError> {
        if self.is_sign("+") || self.is_sign("-") {
            let is_negative = self.is_sign("-");
            self.deeper()?;
            self.advance()?;
            let operand = self.expression(power::POLARITY)?;
            self.brackets -= 1;
            // A sign takes numbers only; that of `+` is checked by negating twice.
            let once = Expr::Negate(Box::new(operand.expr));
            let expr = if is_negative { once } else { Expr::Negate(Box::new(once)) };
            return self.over(expr, operand.depth + 1, operand.is_fixed);
        }
        let mut part = self.term()?;
        loop {
            if self.is_sign(".") {
                self.advance()?;
                part = self.step(part)?;
            } else if self.is_sign("[") {
                self.deeper()?;
                self.advance()?;
                let index = self.expression(0)?;
                self.brackets -= 1;
                self.expect("]")?;
                let (depth, is_fixed) = (part.depth.max(index.depth), part.is_fixed && index.is_fixed);
                let expr = Expr::At { of: Box::new(part.expr), index: Box::new(index.expr) };
                part = self.over(expr, depth, is_fixed)?;
            } else {
                return Ok(part);
            }
        }
    }

    fn deeper(&mut self) -> Result<(), ParseError> {
        self.brackets += 1;
        if self.brackets > MAX_DEPTH / 2 {
            return Err(self.error(&format!("at most {} brackets inside one another", MAX_DEPTH / 2)));
        }
        Ok(())
    }

    fn term(&mut self) -> Result<Part, ParseError> {
        if self.is_sign("(") {
            self.deeper()?;
            self.advance()?;
            let inner = self.expression(0)?;
            self.brackets -= 1;
            self.expect(")")?;
            return Ok(inner);
        }
        if self.is_sign("{") {
            self.advance()?;
            self.expect("}")?;
            return Ok(Part::leaf(Expr::Nothing));
        }
        if matches!(self.token, Token::Word(_) | Token::Quoted(_)) {
            return self.head();
        }
        let value = match self.advance()? {
            Token::String(text) => Value::String(Cow::Owned(text.into_owned())),
            Token::Integer(number) => return self.number(number.into(), Value::Integer(number)),
            Token::Decimal(number) => return self.number(number, Value::Decimal(number)),
            Token::Date(date) => Value::Date(date),
            Token::DateTime(at) => Value::DateTime(at),
            Token::Time(time) => Value::Time(time),
            Token::Dollar(name) => return self.dollar(name),
            Token::Percent(name) => return Ok(Part::leaf(Expr::Variable(variable(&name)))),
            _ => return Err(self.error("a value or a path")),
        };
        Ok(Part::leaf(Expr::Literal(value)))
    }

    /// A number, or a quantity if a unit follows.
    fn number(&mut self, value: rust_decimal::Decimal, plain: Value<'static>) -> Result<Part, ParseError> {
        let unit = match &self.token {
            Token::String(code) => Measure::Ucum(Cow::Owned(code.clone().into_owned())),
            Token::Word(word) => match Unit::word(word) {
                Some(unit) => Measure::Calendar(unit),
                None => return Ok(Part::leaf(Expr::Literal(plain))),
            },
            _ => return Ok(Part::leaf(Expr::Literal(plain))),
        };
        self.advance()?;
        Ok(Part::leaf(Expr::Literal(Value::Quantity(Box::new(Quantity { value, unit })))))
    }

    fn dollar(&self, name: &str) -> Result<Part, ParseError> {
        Ok(Part::leaf(match name {
            "this" => Expr::This,
            "index" => Expr::Position,
            "total" => Expr::Total,
            _ => return Err(self.error("$this, $index or $total")),
        }))
    }

    /// A name at the beginning of a path.
    fn head(&mut self) -> Result<Part, ParseError> {
        match &self.token {
            Token::Word("true") => {
                self.advance()?;
                return Ok(Part::leaf(Expr::Literal(Value::Boolean(true))));
            }
            Token::Word("false") => {
                self.advance()?;
                return Ok(Part::leaf(Expr::Literal(Value::Boolean(false))));
            }
            Token::Word(word @ ("div" | "mod" | "and" | "or" | "xor" | "implies")) => {
                return Err(self.error(&format!("a value or a path rather than '{word}'")));
            }
            _ => {}
        }
        let name = match &self.token {
            Token::Word(word) => word,
            Token::Quoted(name) => &**name,
            _ => "",
        };
        if let Some(ty) = r4().named(name).filter(|_| name.starts_with(|first: char| first.is_ascii_uppercase())) {
            self.advance()?;
            return Ok(Part::leaf(Expr::Head(ty)));
        }
        self.step(Part::leaf(Expr::This))
    }

    /// A child or a function, on `of`.
    fn step(&mut self, of: Part) -> Result<Part, ParseError> {
        if let Token::Dollar("this") = self.token {
            // Some write `name.$this`.
            self.advance()?;
            return Ok(of);
        }
        let (is_word, name) = match self.advance()? {
            Token::Word(word) => (true, Cow::Borrowed(word)),
            Token::Quoted(name) => (false, name),
            _ => return Err(self.error("a name")),
        };
        if is_word && self.is_sign("(") {
            return self.call(&name, of);
        }
        let expr = Expr::Child { of: Box::new(of.expr), name: Name::of(&name), text: (&*name).into() };
        self.over(expr, of.depth, of.is_fixed)
    }

    fn call(&mut self, name: &str, of: Part) -> Result<Part, ParseError> {
        self.deeper()?;
        self.advance()?;
        if matches!(name, "is" | "as" | "ofType") {
            let test = self.type_test(false)?;
            self.brackets -= 1;
            self.expect(")")?;
            let input = Box::new(of.expr);
            let expr = if name == "is" { Expr::Is { of: input, test } } else { Expr::OfType { of: input, test } };
            return self.over(expr, of.depth, of.is_fixed);
        }
        let Some((_, function, count)) = Function::named(name) else {
            return Err(ParseError { message: format!("'{name}' is no function"), at: self.at });
        };
        let mut arguments = Vec::new();
        while !self.is_sign(")") {
            if !arguments.is_empty() {
                self.expect(",")?;
            }
            arguments.push(self.expression(0)?);
        }
        self.brackets -= 1;
        self.advance()?;
        if !count.contains(&arguments.len()) {
            let message = format!("{name}() takes {} to {} arguments", count.start(), count.end());
            return Err(ParseError { message, at: self.at });
        }
        self.called(*function, of, arguments)
    }

    fn called(&mut self, function: Function, of: Part, arguments: Vec<Part>) -> Result<Part, ParseError> {
        let seen = function.arguments();
        let is_plain = seen == Arguments::Plain;
        let varies = is_plain && arguments.iter().any(|argument| !argument.is_fixed);
        let is_input_fixed = of.is_fixed;
        let of = if varies { self.once(of, false) } else { of };
        let mut is_fixed = of.is_fixed;
        let mut depth = of.depth;
        let mut compiled = Vec::with_capacity(arguments.len());
        for argument in arguments {
            depth = depth.max(argument.depth);
            is_fixed &= !is_plain || argument.is_fixed;
            let argument = match seen {
                Arguments::EachItem => self.each_time(argument),
                Arguments::Plain if !is_input_fixed => self.once(argument, false),
                Arguments::Plain | Arguments::Input => argument,
            };
            compiled.push(argument.expr);
        }
        if let (Function::Matches | Function::MatchesFull | Function::ReplaceMatches, Some(pattern)) =
            (function, compiled.first_mut())
            && let Expr::Literal(Value::String(text)) = pattern
        {
            let text = if function == Function::MatchesFull { format!("^(?:{text})$") } else { text.to_string() };
            *pattern = Expr::Pattern(Box::new(Pattern { text: text.into(), compiled: OnceLock::new() }));
        }
        let mut input = of.expr;
        match function {
            Function::Intersect | Function::Exclude | Function::SubsetOf => compiled.iter_mut().for_each(searched),
            Function::SupersetOf => searched(&mut input),
            _ => {}
        }
        let expr = Expr::Call { function, of: Box::new(input), arguments: compiled };
        self.over(expr, depth, is_fixed)
    }

    /// An argument that is evaluated for each item: what is fixed in it is computed once.
    fn each_time(&mut self, argument: Part) -> Part {
        let mut argument = self.once(argument, true);
        repeat(&mut argument.expr);
        argument
    }

    /// A type's name in brackets or after `is` and `as`.
    fn type_test(&mut self, is_operator: bool) -> Result<TypeTest, ParseError> {
        let mut name = self.type_word()?;
        let mut namespace = None;
        if self.is_sign(".") && (!is_operator || matches!(&*name, "FHIR" | "System")) {
            self.advance()?;
            namespace = Some(std::mem::replace(&mut name, self.type_word()?));
        }
        let fhir = if namespace.as_deref() == Some("System") { None } else { r4().named(&name) };
        let system = if namespace.as_deref() == Some("FHIR") { None } else { System::named(&name) };
        // `System.Patient` is well formed: nothing is of that type.
        let is_known = fhir.is_some() || system.is_some() || (namespace.is_some() && r4().named(&name).is_some());
        if !is_known {
            return Err(ParseError { message: format!("'{name}' is no type of R4 or FHIRPath"), at: self.at });
        }
        Ok(TypeTest { fhir, system, converts: is_operator && namespace.is_none() })
    }

    fn type_word(&mut self) -> Result<Cow<'t, str>, ParseError> {
        match self.advance()? {
            Token::Word(word) => Ok(Cow::Borrowed(word)),
            Token::Quoted(word) => Ok(word),
            _ => Err(self.error("a type's name")),
        }
    }
}

/// Marks what is kept inside `expr` as evaluated for each item.
fn repeat(expr: &mut Expr) {
    if let Expr::Once(once) = expr {
        once.is_repeated = true;
        return;
    }
    expr.parts_mut().into_iter().for_each(repeat);
}

/// Marks a set that items are looked up in.
fn searched(expr: &mut Expr) {
    match expr {
        Expr::Once(once) => once.is_set = true,
        Expr::Union(parts) => parts.iter_mut().for_each(searched),
        _ => {}
    }
}

/// Whether an expression gives the same for all elements of a resource.
fn is_shared(expr: &mut Expr) -> bool {
    let is_own = match expr {
        Expr::Variable(Variable::Context | Variable::Named(_)) => true,
        Expr::Call { function, .. } => matches!(function, Function::Now | Function::Today | Function::TimeOfDay),
        _ => false,
    };
    !is_own && expr.parts_mut().into_iter().all(is_shared)
}

fn pair(name: &str, left: Expr, right: Expr) -> Expr {
    let compare = |left, right, operator| Expr::Compare { sides: Box::new([left, right]), operator };
    let compute = |left, right, operator| Expr::Arithmetic { sides: Box::new([left, right]), operator };
    match name {
        "in" => Expr::In { item: Box::new(left), set: Box::new(right) },
        "contains" => Expr::In { item: Box::new(right), set: Box::new(left) },
        "xor" => Expr::Xor(Box::new([left, right])),
        "implies" => Expr::Implies(Box::new([left, right])),
        "<" => compare(left, right, Comparison::Less),
        "<=" => compare(left, right, Comparison::LessOrEqual),
        ">" => compare(left, right, Comparison::Greater),
        ">=" => compare(left, right, Comparison::GreaterOrEqual),
        "+" => compute(left, right, Operator::Add),
        "-" => compute(left, right, Operator::Subtract),
        "*" => compute(left, right, Operator::Multiply),
        "/" => compute(left, right, Operator::Divide),
        "div" => compute(left, right, Operator::Div),
        "mod" => compute(left, right, Operator::Mod),
        "&" => compute(left, right, Operator::Concatenate),
        _ => Expr::Equality {
            sides: Box::new([left, right]),
            is_equivalence: name.ends_with('~'),
            is_negated: name.starts_with('!'),
        },
    }
}

fn variable(name: &str) -> Variable {
    match name {
        "context" => Variable::Context,
        "resource" => Variable::Resource,
        "rootResource" => Variable::RootResource,
        "ucum" => Variable::Text(UCUM.to_owned()),
        "sct" => Variable::Text("http://snomed.info/sct".to_owned()),
        "loinc" => Variable::Text("http://loinc.org".to_owned()),
        _ => {
            if let Some(name) = name.strip_prefix("vs-") {
                Variable::Text(format!("http://hl7.org/fhir/ValueSet/{name}"))
            } else if let Some(name) = name.strip_prefix("ext-") {
                Variable::Text(format!("http://hl7.org/fhir/StructureDefinition/{name}"))
            } else {
                Variable::Named(name.into())
            }
        }
    }
}
