# The row with the least ratio (`cr`) of each modality, with the table's header.
BEGIN { FS = "," }
NR == 1 { for (i = 1; i <= NF; i++) place[$i] = i; print > "best.csv"; next }
{
  modality = $place["modality"]
  ratio = $place["cr"] + 0
  if (!(modality in least)) order[++modalities] = modality
  if (!(modality in least) || ratio < least[modality]) { least[modality] = ratio; row[modality] = $0 }
}
END { for (i = 1; i <= modalities; i++) print row[order[i]] > "best.csv" }
