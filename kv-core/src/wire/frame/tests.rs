mod golden;
mod hostile;
mod random;
mod samples;
