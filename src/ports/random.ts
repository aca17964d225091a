/** Where new ids come from, handed in so that a simulation can repeat itself. */
export interface Random {
  /** A version 4 UUID in lower case. */
  uuid(): string;
}
