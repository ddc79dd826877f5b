//! Texts to compare with Python: JSON of every shape, and text that is almost JSON.
//!
//! The test gives the seed, never the clock: a test that fails must fail again.

/// The state of SplitMix64.
pub struct Random(pub u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ mixed >> 31
    }

    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    /// One of the words between spaces. A space at the front adds the empty word.
    fn word(&mut self, words: &'static str) -> &'static str {
        let words: Vec<_> = words.split(' ').collect();
        self.pick(&words)
    }

    pub fn value(&mut self, depth: usize) -> String {
        match self.below(if depth == 0 { 3 } else { 6 }) {
            0 => self.string(),
            1 => self.number(),
            2 => self
                .word("null true false NaN Infinity -Infinity [] {\n}")
                .to_owned(),
            3 => self.object(depth - 1, 5),
            _ => self.array(depth - 1),
        }
    }

    fn array(&mut self, depth: usize) -> String {
        let items: Vec<_> = (0..self.below(5)).map(|_| self.value(depth)).collect();
        self.joined('[', &items, ']')
    }

    pub fn object(&mut self, depth: usize, members_below: usize) -> String {
        let count = self.below(members_below);
        let items: Vec<_> = (0..count)
            .map(|_| {
                format!(
                    "{}{}:{}{}",
                    self.key(),
                    self.space(),
                    self.space(),
                    self.value(depth)
                )
            })
            .collect();
        self.joined('{', &items, '}')
    }

    fn joined(&mut self, open: char, items: &[String], close: char) -> String {
        let comma = format!("{},{}", self.space(), self.space());
        format!(
            "{open}{}{}{}{close}",
            self.space(),
            items.join(&comma),
            self.space()
        )
    }

    fn space(&mut self) -> &'static str {
        self.pick(&["", "", "", " ", "\n", "\r\n\t  "])
    }

    /// One of few keys, among them the empty one, so that keys occur twice, also in another
    /// spelling.
    fn key(&mut self) -> String {
        let spellings = r#" a \u0061 b é \u00e9 😀 \ud83d\ude00 \ud83d \ude00 \" \u0022"#;
        format!("\"{}\"", self.word(spellings))
    }

    pub fn string(&mut self) -> String {
        let escapes = r#"\" \\ \/ \b\f\n\r\t \ud83d \uDE00 \udbff\udfff \u0000 \u0061"#;
        let unescaped = "a plain-text-of-some-length é \u{301} 😀 ' { ] ,:";
        let unprintable = "\u{7f} \u{ad} \u{2028} \u{fffe} \u{feff}";
        let content: String = (0..self.below(6))
            .map(|_| {
                let pieces = self.pick(&[escapes, unescaped, unprintable]);
                self.word(pieces)
            })
            .collect();
        format!("\"{content}\"")
    }

    fn number(&mut self) -> String {
        let few = self.next() >> self.below(64);
        match self.below(6) {
            0 => format!("{few}"),
            1 => format!("-1{few}{:019}", self.next() >> 2),
            2 => format!("{}.{few}", self.next() as u16),
            3 => format!("{}e{}", self.next() as i64, self.below(700) as i64 - 350),
            4 => Some(f64::from_bits(self.next()))
                .filter(|float| float.is_finite())
                .map_or("NaN".to_owned(), |float| format!("{float:e}")),
            _ => self
                .word("-0 0 -0.0 1E400 -1e400 1e-400 1e15 1e16 0.0001 5e-324 928222003265725.25")
                .to_owned(),
        }
    }

    /// One to three small changes. The text may still be valid after any of them.
    pub fn mutation_of(&mut self, text: &str) -> String {
        let alphabet: Vec<char> =
            "\"\"\\{}[],:0123456789-+.eEnulltrfasNIy \t\n\r\0\u{1f}\u{7f}é€\u{1f600}\u{feff}\u{a0}"
                .chars()
                .collect();
        let mut chars: Vec<char> = text.chars().collect();
        for _ in 0..=self.below(3) {
            let at = self.below(chars.len() + 1);
            let until = chars.len().min(at + 1);
            match self.below(8) {
                0 => chars.truncate(at),
                1 | 2 => _ = chars.drain(at..until),
                3 => chars.extend_from_within(at..until),
                4 | 5 => _ = chars.splice(at..until, [self.pick(&alphabet)]),
                _ => chars.insert(at, self.pick(&alphabet)),
            }
        }
        chars.into_iter().collect()
    }

    /// Each field is mostly usual, so that each kind of mismatch sometimes occurs alone.
    pub fn payload(&mut self) -> String {
        if self.below(50) == 0 {
            return self.value(2);
        }
        let mut members = Vec::new();
        for (name, usual) in [
            ("code", r#""" "x=1""#),
            ("globals_dict", r#"{} {"a":[NaN]}"#),
            (
                "python_path",
                r#"null [] ["a"] ["a",5] [[],5,""] [null] [{"b":1.0},"it's"]"#,
            ),
            ("limit_overrides_context", r#"null """#),
            ("slug", r#"null "s""#),
            ("unsafely", "true false 0 null"),
            ("other", r#"5 "o""#),
        ] {
            for _ in 0..self.pick(&[0, 1, 1, 1, 1, 1, 2]) {
                let value = if self.below(8) == 0 {
                    self.value(2)
                } else {
                    self.word(usual).to_owned()
                };
                members.insert(self.below(members.len() + 1), format!("\"{name}\":{value}"));
            }
        }
        self.joined('{', &members, '}')
    }
}
