"""The paper's experiments: what each computes, and the result that a report is made of."""
